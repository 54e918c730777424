"""What runs a classifier: a batch of prepared images in, numbers out."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Network(Protocol):
    """A classifier's weights on the library that runs them; may be called from several threads at once.

    Attributes:
        input_shape: Of a batch; None where any number will do.
        input_type: Of its numbers, as NumPy names it.
        batch_size: Images a call.
        step: Least difference between two outputs near zero.
    """

    input_shape: tuple[int | None, ...]
    input_type: str
    batch_size: int
    step: float

    def run(self, batch: NDArray[np.generic]) -> NDArray[np.float64]:
        """Runs it.

        Args:
            batch: (batch_size, ...), of the type and shape that it takes.

        Returns:
            (batch_size, outputs).
        """
        ...


def smallest_step(dtype: str) -> float:
    """Gives the least positive value of float16, float32 or float64."""
    return float(np.finfo(dtype).smallest_subnormal)
