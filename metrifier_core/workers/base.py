"""What every worker can do."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from metrifier_core.images import RgbImage

__all__ = ["Worker"]


class Worker(Protocol):
    """A frozen image classifier with its own preprocessing and class order."""

    def logits(self, images: Sequence[RgbImage]) -> NDArray[np.float64]:
        """Classifies images.

        Args:
            images: N uint8 RGB images of any size.

        Returns:
            (N, C) logits in the data set's class order (log-probabilities where the model ends in softmax); a row
            does not depend on the other images.
        """
        ...
