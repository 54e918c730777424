"""Simple predictors of quality that a metrifier has to beat."""

import math
from collections import Counter, defaultdict

import cv2
import numpy as np
from numpy.typing import NDArray

_Condition = tuple[str | None, int | None]

_JPEG_QUALITY = 90
_COLOUR_IMAGE_DIMENSIONS = 3
_COLOUR_CHANNELS = 3


def laplacian_variance(image: NDArray[np.uint8]) -> float:
    """Return the variance of the Laplacian of an image: high where it is sharp or noisy.

    Source: Pech-Pacheco, Cristobal, Chamorro-Martinez and Fernandez-Valdivia, "Diatom autofocusing in
    brightfield microscopy: a comparative study", ICPR 2000.

    Args:
        image: RGB, uint8, (H, W, 3), at least one pixel.

    Returns:
        The variance in squared grey levels, 0 or more.

    Raises:
        ValueError: The image has another shape or type, or no pixels.
    """
    _check_image(image)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def jpeg_size(image: NDArray[np.uint8]) -> float:
    """Return how large an image is as a JPEG: large where it is detailed or noisy, small where it is blurred or flat.

    Quality 90, with chroma halved: its steps are a few grey levels, so that what a classifier could see is paid for.
    Coarser ones would round faint noise away, finer ones pay for what no one sees.

    Args:
        image: RGB, uint8, (H, W, 3), at least one pixel.

    Returns:
        Bytes a pixel, more than 0.

    Raises:
        ValueError: The image has another shape or type, or no pixels.
    """
    _check_image(image)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    return float(encoded.size / (image.shape[0] * image.shape[1]))


class SeverityOracle:
    """Predicts quality from distortion and severity alone, blind to what the image shows.

    The prediction is the mean quality of a condition (distortion, severity) over the versions that were learned from;
    for a condition that none of them has the mean of its severity, and failing that the mean of all. Memory grows with
    the conditions, not with the versions.
    """

    def __init__(self) -> None:
        """Knows nothing yet."""
        self._counts: Counter[_Condition] = Counter()
        self._totals: defaultdict[_Condition, float] = defaultdict(float)

    def learn(self, distortion: str, severity: int, quality: float) -> None:
        """Learns from one version.

        Raises:
            ValueError: The quality is NaN.
        """
        if math.isnan(quality):
            raise ValueError(f"The quality of a version with {distortion} {severity} is NaN.")
        for condition in _from_narrow_to_wide(distortion, severity):
            self._counts[condition] += 1
            self._totals[condition] += quality

    def predict(self, distortion: str, severity: int) -> float:
        """Predicts the quality of a version.

        Raises:
            ValueError: Nothing was learned.
        """
        for condition in _from_narrow_to_wide(distortion, severity):
            if condition in self._counts:
                return self._totals[condition] / self._counts[condition]
        raise ValueError("The oracle has learned from no version.")


def _from_narrow_to_wide(distortion: str, severity: int) -> tuple[_Condition, ...]:
    return (distortion, severity), (None, severity), (None, None)


def _check_image(image: NDArray[np.uint8]) -> None:
    is_colour = image.ndim == _COLOUR_IMAGE_DIMENSIONS and image.shape[2] == _COLOUR_CHANNELS
    if image.dtype != np.uint8 or not is_colour or image.size == 0:
        raise ValueError(f"An image is a uint8 array (H, W, 3), not {image.dtype} {image.shape}.")
