"""The baseline that learns: gradient-boosted trees on BRISQUE features."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class BrisqueTrees:
    """Predicts quality from BRISQUE features, as learned from training versions; the same for any number of threads."""

    def __init__(self, features: NDArray[np.float64], quality: NDArray[np.float64], seed: int) -> None:
        """Fits histogram-based gradient boosting (scikit-learn's, with its defaults).

        Args:
            features: (N, 36) of training versions.
            quality: (N,) of the same.
            seed: For scikit-learn.

        Raises:
            ValueError: There are no training versions.
        """
        from sklearn.ensemble import HistGradientBoostingRegressor

        if not len(features):
            raise ValueError("There are no training versions to fit the trees on.")
        self._trees: Any = HistGradientBoostingRegressor(early_stopping=False, random_state=seed)
        self._trees.fit(features, quality)

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predicts quality, (N,), from features, (N, 36); not held to [0, 1]."""
        return np.asarray(self._trees.predict(features), np.float64)
