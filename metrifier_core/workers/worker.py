"""A worker: a network behind its interface."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metrifier_core.images import RgbImage
from metrifier_core.workers.interface import ModelInterface
from metrifier_core.workers.network import Network
from metrifier_core.workers.preprocessing import prepare

_SUM_TOLERANCE = 0.01
_MAX_LOSS = 0.5


class Worker:
    """A frozen image classifier with its own preprocessing and class order.

    It may be used by several threads at once, and uses but one itself where it has no GPU.

    Attributes:
        network: What runs it.
        interface: What stands between an image and its network.
        temperature: What its logits are to be divided by.
        batch_size: Images that it likes to be given at once.
    """

    def __init__(self, network: Network, interface: ModelInterface, temperature: float = 1.0) -> None:
        """Puts a network behind an interface.

        Args:
            network: What runs it.
            interface: What it expects and gives.
            temperature: What its logits are to be divided by.

        Raises:
            ValueError: The interface gives what the network does not take.
        """
        size = interface.input_size
        shape = (size, size, 3) if interface.layout == "NHWC" else (3, size, size)
        expected = network.input_shape[1:]
        if len(expected) != len(shape) or not all(
            wanted in (None, given) for wanted, given in zip(expected, shape, strict=True)
        ):
            taken = " x ".join("any" if wanted is None else str(wanted) for wanted in expected)
            raise ValueError(
                f"layout {interface.layout} and input_size {size} make images of {' x '.join(map(str, shape))}, "
                f"but the network takes {taken}"
            )
        if network.input_type != interface.dtype:
            raise ValueError(f"dtype is {interface.dtype}, but the network takes {network.input_type}")
        self.interface = interface
        self.temperature = temperature
        self.batch_size = network.batch_size
        self.network = network

    def with_interface(self, interface: ModelInterface) -> "Worker":
        """Puts the same network behind another interface."""
        return Worker(self.network, interface, self.temperature)

    def outputs(self, images: Sequence[RgbImage]) -> NDArray[np.float64]:
        """Gives what the network answers, as it stands.

        Args:
            images: N uint8 RGB images of any size.

        Returns:
            (N, outputs).

        Raises:
            ValueError: The runtime cannot run the network on them.
        """
        found = []
        for start in range(0, len(images), self.batch_size):
            prepared = [prepare(image, self.interface) for image in images[start : start + self.batch_size]]
            # Always a whole batch, the last one filled up: what one image gets does not depend on how many there are.
            filling = [np.zeros_like(prepared[0])] * (self.batch_size - len(prepared))
            batch = prepared[0][None] if self.batch_size == 1 else np.stack([*prepared, *filling])
            try:
                answers = self.network.run(batch)
            except Exception as error:  # each runtime has errors of its own
                shape = " x ".join(map(str, batch.shape))
                reason = str(error).partition("\n")[0] or type(error).__name__
                raise ValueError(f"the network cannot be run on a batch of {shape}: {reason}") from error
            found.append(answers[: len(prepared)])
        return np.concatenate(found)

    def check_classes(self, outputs: int) -> None:
        """Finds out whether a number of outputs is what the interface says.

        Raises:
            ValueError: It is not; the message names the setting.
        """
        interface = self.interface
        count = outputs - interface.class_offset
        if count < 1:
            raise ValueError(f"class_offset: the network has {outputs} outputs alone")
        if interface.class_order is not None and len(interface.class_order) != count:
            raise ValueError(f"class_order: names {len(interface.class_order)} classes, but there are {count}")

    def check(self, outputs: NDArray[np.float64]) -> None:
        """Finds out whether the network's answers are what the interface says.

        Args:
            outputs: (N, outputs), as `outputs` gives them.

        Raises:
            ValueError: They are not; the message names the setting.
        """
        interface = self.interface
        self.check_classes(outputs.shape[1])
        if not np.isfinite(outputs).all():
            raise ValueError("the network gives values that are not finite: is scale, mean or std wrong?")
        sums = outputs.sum(axis=1)
        # Rounding takes half a step of each: quantised probabilities may add up to .8.
        tolerance = _SUM_TOLERANCE + min(_MAX_LOSS, self.network.step * outputs.shape[1] / 2)
        simplex = outputs.min() >= -_SUM_TOLERANCE and bool(np.all(abs(sums - 1) < tolerance))
        if interface.outputs == "probabilities" and not simplex:
            raise ValueError(
                f"outputs: are called probabilities, but are {outputs.min():.3g} at the least and add up to "
                f"{sums.min():.3g} to {sums.max():.3g}: are they logits?"
            )
        if interface.outputs == "logits" and simplex:
            raise ValueError("outputs: are called logits, but none is negative and they add up to 1: probabilities")

    def to_logits(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turns what the network answers into (N, C) logits in the data set's class order."""
        interface = self.interface
        classes = outputs[:, interface.class_offset :]
        if interface.outputs == "probabilities":
            # What is too small for the network's own numbers shares half of the least that is not.
            classes = np.log(np.maximum(classes, self.network.step / (2 * classes.shape[1])))
        if interface.class_order is None:
            return classes
        ordered = np.empty_like(classes)
        ordered[:, list(interface.class_order)] = classes
        return ordered

    def logits(self, images: Sequence[RgbImage]) -> NDArray[np.float64]:
        """Classifies images.

        Args:
            images: N uint8 RGB images of any size, at least one.

        Returns:
            (N, C) logits in the data set's class order (log-probabilities where the network gives probabilities).
        """
        return self.to_logits(self.outputs(images))
