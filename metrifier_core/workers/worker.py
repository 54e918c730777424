"""A worker: a network behind its interface."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metrifier_core.images import RgbImage
from metrifier_core.runtimes import Network
from metrifier_core.workers.interface import ModelInterface
from metrifier_core.workers.preprocessing import prepare

_SUM_TOLERANCE = 0.01
_MAX_SUM_LOSS = 0.5


class Worker:
    """A frozen image classifier with its own preprocessing and class order.

    Several threads may share it; without a GPU, each of its calls uses one thread.

    Attributes:
        network: Network on the library that runs it.
        interface: Preprocessing before the network and meaning of its outputs.
        temperature: Divisor of its logits.
        batch_size: Images per call of the network.
    """

    def __init__(self, network: Network, interface: ModelInterface, temperature: float = 1.0) -> None:
        """Put a network behind an interface; see the class attributes.

        Raises:
            ValueError: The interface prepares images of another shape or dtype than the network takes.
        """
        size = interface.input_size
        shape = (size, size, 3) if interface.layout == "NHWC" else (3, size, size)
        expected = network.input_shape[1:]
        if len(expected) != len(shape) or any(
            wanted not in (None, actual) for wanted, actual in zip(expected, shape, strict=True)
        ):
            taken = " x ".join("any" if wanted is None else str(wanted) for wanted in expected)
            raise ValueError(
                f"layout {interface.layout} and input_size {size} make images of {' x '.join(map(str, shape))}, "
                f"but the network takes {taken}"
            )
        if network.input_type != interface.dtype:
            raise ValueError(f"dtype is {interface.dtype}, but the network takes {network.input_type}")
        self.network = network
        self.interface = interface
        self.temperature = temperature
        self.batch_size = network.batch_size

    def __repr__(self) -> str:
        return f"Worker({self.network!r}, {self.interface!r}, temperature={self.temperature})"

    def with_interface(self, interface: ModelInterface) -> "Worker":
        """Return a worker with the same network behind another interface."""
        return Worker(self.network, interface, self.temperature)

    def outputs(self, images: Sequence[RgbImage]) -> NDArray[np.float64]:
        """Run the network on images and return its raw outputs.

        Args:
            images: N uint8 RGB images of any size, at least one.

        Returns:
            (N, outputs).

        Raises:
            ValueError: The library fails to run the network on them.
        """
        outputs = []
        for start in range(0, len(images), self.batch_size):
            prepared = [prepare(image, self.interface) for image in images[start : start + self.batch_size]]
            # The last batch is padded: an image's outputs do not depend on the number of images.
            padding = [np.zeros_like(prepared[0])] * (self.batch_size - len(prepared))
            batch = prepared[0][None] if self.batch_size == 1 else np.stack([*prepared, *padding])
            try:
                outputs.append(self.network.run(batch)[: len(prepared)])
            except Exception as error:  # each library has its own errors
                shape = " x ".join(map(str, batch.shape))
                reason = str(error).partition("\n")[0] or type(error).__name__
                raise ValueError(f"the network cannot be run on a batch of {shape}: {reason}") from error
        return np.concatenate(outputs)

    def check_classes(self, outputs: int) -> None:
        """Raise ValueError, which names the setting, if the interface does not fit the number of outputs."""
        offset, order = self.interface.class_offset, self.interface.class_order
        if offset >= outputs:
            raise ValueError(f"class_offset: expected less than the network's {outputs} outputs, got {offset}")
        if order is not None and len(order) != outputs - offset:
            raise ValueError(f"class_order: expected the network's {outputs - offset} classes, got {len(order)}")

    def check(self, outputs: NDArray[np.float64]) -> None:
        """Raise if the network's outputs are not what the interface says.

        Args:
            outputs: (N, outputs), as `outputs` returns them.

        Raises:
            ValueError: They are not; the message names the setting.
        """
        self.check_classes(outputs.shape[1])
        if not np.isfinite(outputs).all():
            raise ValueError("the network returns NaN or infinity: is scale, mean or std wrong?")
        sums = outputs.sum(axis=1)
        # Rounding costs up to half a step per output: quantised probabilities may add up to 0.8.
        tolerance = _SUM_TOLERANCE + min(_MAX_SUM_LOSS, self.network.step * outputs.shape[1] / 2)
        simplex = outputs.min() >= -_SUM_TOLERANCE and bool(np.all(abs(sums - 1) < tolerance))
        if self.interface.outputs == "probabilities" and not simplex:
            raise ValueError(
                f"outputs: expected probabilities, got values from {outputs.min():.3g} on that add up to "
                f"{sums.min():.3g} to {sums.max():.3g}: are they logits?"
            )
        if self.interface.outputs == "logits" and simplex:
            raise ValueError(
                "outputs: expected logits, got values that are not negative and add up to 1: are they probabilities?"
            )

    def to_logits(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert raw outputs to (N, C) logits in the data set's class order."""
        interface = self.interface
        classes = outputs[:, interface.class_offset :]
        if interface.outputs == "probabilities":
            # Probabilities below the network's step share half a step.
            classes = np.log(np.maximum(classes, self.network.step / (2 * classes.shape[1])))
        if interface.class_order is None:
            return classes
        ordered = np.empty_like(classes)
        ordered[:, list(interface.class_order)] = classes
        return ordered

    def logits(self, images: Sequence[RgbImage]) -> NDArray[np.float64]:
        """Classify images.

        Args:
            images: N uint8 RGB images of any size, at least one.

        Returns:
            (N, C) logits in the data set's class order; log-probabilities where the network returns probabilities.
        """
        return self.to_logits(self.outputs(images))
