"""What scores views: a library that runs a network's file."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Runtime(Protocol):
    """A network's file on the library that runs it; may be called from several threads at once."""

    def run(self, views: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Scores views; the score of one does not depend on the others.

        Args:
            views: (V, S, S, 3) uint8 RGB.

        Returns:
            (V,) scores, in [0, 1].
        """
        ...
