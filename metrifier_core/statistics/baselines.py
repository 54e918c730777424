"""Simple predictors of quality that a metrifier has to beat."""

import math
from collections import Counter, defaultdict

import cv2
import numpy as np
from numpy.typing import NDArray

_Condition = tuple[str | None, int | None]


def laplacian_variance(image: NDArray[np.uint8]) -> float:
    """Return the variance of an RGB image's Laplacian in squared grey levels: high for sharp and for noisy images.

    Source: Pech-Pacheco, Cristobal, Chamorro-Martinez and Fernandez-Valdivia, "Diatom autofocusing in
    brightfield microscopy: a comparative study", ICPR 2000.

    Raises:
        ValueError: The image is not uint8, (H, W, 3), or has no pixels.
    """
    _check_image(image)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def jpeg_size(image: NDArray[np.uint8]) -> float:
    """Return an RGB image's bytes a pixel as a JPEG: many for detail and noise, few for blur and flat areas.

    The quality is 90, with chroma subsampling: coarser quantisation would remove faint noise, a finer one would count
    differences that no classifier sees.

    Raises:
        ValueError: The image is not uint8, (H, W, 3), or has no pixels.
    """
    _check_image(image)
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    return float(jpeg.size / (image.shape[0] * image.shape[1]))


class SeverityOracle:
    """A predictor of quality from distortion and severity alone, which does not see the image.

    It predicts the mean quality of the condition (distortion, severity) over the versions that it has learned from; for
    an unknown condition the mean of its severity, or else of all. Memory grows with conditions, not with versions.
    """

    def __init__(self) -> None:
        self._counts: Counter[_Condition] = Counter()
        self._totals: defaultdict[_Condition, float] = defaultdict(float)

    def __repr__(self) -> str:
        return f"SeverityOracle({self._counts[None, None]} versions)"

    def learn(self, distortion: str, severity: int, quality: float) -> None:
        """Learn from one version.

        Raises:
            ValueError: The quality is NaN.
        """
        if math.isnan(quality):
            raise ValueError(f"The quality of a version with {distortion} {severity} is NaN.")
        for condition in _widen(distortion, severity):
            self._counts[condition] += 1
            self._totals[condition] += quality

    def predict(self, distortion: str, severity: int) -> float:
        """Return the predicted quality of a version.

        Raises:
            ValueError: It has learned from no version.
        """
        for condition in _widen(distortion, severity):
            if condition in self._counts:
                return self._totals[condition] / self._counts[condition]
        raise ValueError("The oracle has learned from no version.")


def _widen(distortion: str, severity: int) -> tuple[_Condition, ...]:
    return (distortion, severity), (None, severity), (None, None)


def _check_image(image: NDArray[np.uint8]) -> None:
    if image.dtype != np.uint8 or image.shape[2:] != (3,) or image.size == 0:
        raise ValueError(f"expected a uint8 array (H, W, 3) with pixels, got {image.dtype} {image.shape}")
