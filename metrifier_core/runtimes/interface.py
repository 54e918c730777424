"""The interface of a network on the library that runs it."""

from abc import ABC, abstractmethod
from collections.abc import Sized
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class Network(ABC):
    """A metrifier or a classifier on the library that runs it; safe to call from several threads at once.

    On a CPU, ONNX and TFLite use one thread per call: an image per thread beats all threads on one small image.

    Attributes:
        input_shape: Shape of a batch; None where any size fits.
        input_type: NumPy name of the input's dtype.
        batch_size: Images per call of the library.
        step: Smallest difference between two outputs near zero.
    """

    input_shape: tuple[int | None, ...]
    input_type: str
    batch_size: int
    step: float

    @abstractmethod
    def _run_batch(self, batch: NDArray[np.generic]) -> NDArray[np.float64]:
        """Run one batch of `batch_size` images: (batch_size, outputs)."""

    def run(self, images: NDArray[np.generic]) -> NDArray[np.float64]:
        """Run the network, `batch_size` images at a time, so that answers never depend on the other batches.

        Args:
            images: (N, ...) of `input_type`; N is a multiple of `batch_size`.

        Returns:
            (N, outputs).
        """
        starts = range(0, len(images), self.batch_size)
        return np.concatenate([self._run_batch(images[start : start + self.batch_size]) for start in starts])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(input_shape={self.input_shape}, input_type='{self.input_type}')"


def check_ends(source: Path | str, inputs: Sized, outputs: Sized) -> None:
    """Raise ValueError unless a network has one input and one output."""
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(f"{source} has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each")


def smallest_step(dtype: str) -> float:
    """Return the smallest positive value of float16, float32 or float64."""
    return float(np.finfo(dtype).smallest_subnormal)
