"""BRISQUE: features that measure how far an image is from natural scene statistics, and trees that use them."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma

_WINDOW = (7, 7)
_WINDOW_SIGMA = 7 / 6  # three standard deviations to each side
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # across, down, and both diagonals

_SHAPES = np.linspace(0.2, 10, 9801)
_RATIOS = gamma(2 / _SHAPES) ** 2 / (gamma(1 / _SHAPES) * gamma(3 / _SHAPES))


def brisque_features(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the features of the Blind/Referenceless Image Spatial Quality Evaluator.

    Source: Mittal, Moorthy and Bovik, "No-Reference Image Quality Assessment in the Spatial Domain", 2012, section
    III and table I: a generalised Gaussian is fitted to the mean-subtracted contrast-normalised (MSCN) coefficients of
    the grey image, and an asymmetric one to the products of neighbours in four directions, at the image's scale and at
    half of it, which averages two by two pixels. Edges are mirrored.

    Args:
        image: (H, W, 3) uint8 RGB, of any size; features that a side of one pixel leaves undefined are a flat image's.

    Returns:
        (36,) finite numbers: at each scale the shape and variance of the coefficients, then for the neighbours across,
        down and along both diagonals the shape, mean, left variance and right variance of their products.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    # Coefficients do not depend on the offset; without it a flat image is exactly zero.
    scaled = (grey - grey.min()).astype(np.float32)
    features: list[float] = []
    for scale in range(2):
        if scale:
            half = (max(1, scaled.shape[1] // 2), max(1, scaled.shape[0] // 2))
            scaled = np.asarray(cv2.resize(scaled, half, interpolation=cv2.INTER_AREA), np.float32)
        coefficients = _normalise(scaled)
        features += fit_generalised_gaussian(coefficients)
        for down, right in _NEIGHBOURS:
            features += fit_asymmetric_gaussian(_multiply_neighbours(coefficients, down, right))
    return np.array(features)


def fit_generalised_gaussian(values: NDArray[np.floating]) -> tuple[float, float]:
    """Fit a generalised Gaussian of mean zero to values of any shape by its moments.

    Source: Sharifi and Leon-Garcia, "Estimation of shape parameter for generalized Gaussian distributions in subband
    decompositions of video", 1995.

    Returns:
        Shape in [.2, 10] (2 is Gaussian, 1 Laplacian) and variance; the shape of all zeros is 10.
    """
    count = max(1, values.size)
    variance, magnitude = _sum_of_squares(values) / count, float(np.abs(values).sum(dtype=np.float64)) / count
    return _shape(magnitude**2, variance), variance


def fit_asymmetric_gaussian(values: NDArray[np.floating]) -> tuple[float, float, float, float]:
    """Fit an asymmetric generalised Gaussian with its mode at zero to values of any shape by its moments.

    Source: Lasmar, Stitou and Berthoumieu, "Multiscale skewed heavy tailed model for texture analysis", ICIP 2009.

    Returns:
        Shape in [.2, 10], mean, and the variances of the left and of the right side, 0 for a side without values.
    """
    negative = np.minimum(values, 0)
    on_left, on_right = int(np.count_nonzero(negative)), int(np.count_nonzero(values > 0))
    squares, squares_left = _sum_of_squares(values), _sum_of_squares(negative)
    left = squares_left / on_left if on_left else 0.0
    right = max(squares - squares_left, 0.0) / on_right if on_right else 0.0
    spread_left, spread_right = np.sqrt(left), np.sqrt(right)
    # The ratio's correction for the sides' spreads, as a fraction, because either side may be empty.
    correction_above = (spread_left**3 + spread_right**3) * (spread_left + spread_right)
    correction_below = (left + right) ** 2
    count = max(1, values.size)
    magnitude = float(values.sum(dtype=np.float64) - 2 * negative.sum(dtype=np.float64)) / count
    shape = _shape(magnitude**2 * correction_above, squares / count * correction_below)
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    mean = (spread_right - spread_left) * scale * gamma(2 / shape) / gamma(1 / shape)
    return shape, float(mean), left, right


def _normalise(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract the local mean and divide by the local standard deviation."""
    mean = cv2.GaussianBlur(grey, _WINDOW, _WINDOW_SIGMA)
    variance = cv2.GaussianBlur(grey * grey, _WINDOW, _WINDOW_SIGMA) - mean * mean
    return np.asarray((grey - mean) / (np.sqrt(np.maximum(variance, 0)) + 1), np.float32)


def _multiply_neighbours(coefficients: NDArray[np.float32], down: int, right: int) -> NDArray[np.float32]:
    height, width = coefficients.shape
    first = coefficients[: height - down, max(0, -right) : width - max(0, right)]
    return first * coefficients[down:, max(0, right) : width - max(0, -right)]


def _sum_of_squares(values: NDArray[np.floating]) -> float:
    # A dot product would depend on the number of threads.
    return float(np.square(values).sum(dtype=np.float64))


def _shape(ratio_above: float, ratio_below: float) -> float:
    """Return the shape with this ratio of squared mean magnitude to mean square."""
    return float(np.interp(ratio_above / ratio_below, _RATIOS, _SHAPES) if ratio_below else _SHAPES[-1])


class BrisqueTrees:
    """A predictor of quality from BRISQUE features; deterministic for any number of threads."""

    def __init__(self, features: NDArray[np.float64], quality: NDArray[np.float64], seed: int) -> None:
        """Fit scikit-learn's histogram-based gradient boosting to features (N, 36) and quality (N,) with its defaults.

        Raises:
            ValueError: N is 0.
        """
        from sklearn.ensemble import HistGradientBoostingRegressor

        if not len(features):
            raise ValueError("There are no training versions to fit the trees on.")
        self._trees: Any = HistGradientBoostingRegressor(early_stopping=False, random_state=seed)
        self._trees.fit(features, quality)

    def __repr__(self) -> str:
        return f"BrisqueTrees({self._trees.n_iter_} trees)"

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return quality, (N,), for features, (N, 36); it may lie outside [0, 1]."""
        return np.asarray(self._trees.predict(features), np.float64)
