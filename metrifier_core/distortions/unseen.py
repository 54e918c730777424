"""Distortions for testing only, unlike all others, to see what a metrifier makes of the unknown."""

import cv2
import numpy as np
from numpy.typing import NDArray

from metrifier_core.distortions.fields import FIELD_SIZE, draw_fractal
from metrifier_core.distortions.registry import register_distortion
from metrifier_core.images import RgbImage

_SQUARES_A_SIDE = 8
_MIN_SQUARE = 4  # pixels: in smaller squares, a mild severity may cover none
_GREY = np.uint8(128)


@register_distortion("unseen", (0.05, 10.0), prepare=draw_fractal, test_only=True)
def plasma(image: RgbImage, strength: float, field: NDArray[np.uint16]) -> RgbImage:
    """Add a smooth random field f in [0, 1] to the brightness: x + strength (2 f - 1).

    A strength of 1 is the range from black to white. Formula: Mintun, Kirillov and Xie, ImageNet-C-bar (arXiv
    2102.11273), plasma noise, signed.
    """
    added = 255 * strength * (2 * np.arange(FIELD_SIZE) / (FIELD_SIZE - 1) - 1)
    laid = cv2.LUT(field, np.rint(added).clip(-255, 255).astype(np.int16)[None])
    return np.asarray(cv2.add(image, cv2.merge([laid] * 3), dtype=cv2.CV_8U))


def _draw_offset(image: RgbImage, rng: np.random.Generator) -> NDArray[np.float64]:  # noqa: ARG001
    return 2 * rng.random(2)  # the board repeats every two squares


@register_distortion("unseen", (0.05, 2.0), prepare=_draw_offset, test_only=True)
def checkerboard(image: RgbImage, size: float, offset: NDArray[np.float64]) -> RgbImage:
    """Cover every other square of a checkerboard with grey.

    The size is the side of the patch over that of a square; it grows from the square's centre and covers everything at
    2. Formula: Mintun, Kirillov and Xie, ImageNet-C-bar (arXiv 2102.11273), checkerboard cutout.
    """
    square = max(max(image.shape[:2]) / _SQUARES_A_SIDE, _MIN_SQUARE)
    row, column = (
        (np.arange(side) + 0.5) / square + shift for side, shift in zip(image.shape[:2], offset, strict=True)
    )
    covered = np.zeros(image.shape[:2], bool)
    # Two boards with a period of two squares, the second shifted by a square in both directions.
    for shift in (0.0, 1.0):
        near = [np.abs((position - shift) % 2 - 1) <= size / 2 for position in (row, column)]
        covered |= near[0][:, None] & near[1]
    mask = cv2.merge([np.negative(covered.view(np.uint8))] * 3)
    return np.asarray(cv2.bitwise_or(cv2.bitwise_and(image, cv2.bitwise_not(mask)), mask & _GREY))
