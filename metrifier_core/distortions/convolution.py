"""Convolution that is exact: kernels of whole numbers, summed in double precision, give the same pixels everywhere."""

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from metrifier_core.images import RgbImage

Kernel: TypeAlias = NDArray[np.float64]
"""Non-negative whole numbers whose sum is odd, so that no pixel lies halfway between two grey levels."""

Strip: TypeAlias = NDArray[np.float64]

_STRIP_PIXELS = 25_000  # in double precision 600 kB, which stay in cache


def odd_sum(kernel: Kernel) -> Kernel:
    """Makes the sum of a kernel of whole numbers odd by adding to its middle, if need be."""
    if kernel.sum() % 2 == 0:
        kernel[tuple(side // 2 for side in kernel.shape)] += 1
    return kernel


def convolve(image: RgbImage, kernel: Kernel) -> RgbImage:
    """Convolves an image with a symmetric kernel, mirrored at its borders.

    Args:
        image: (H, W, 3) uint8 RGB.
        kernel: (2 m + 1, 2 n + 1), equal to itself turned by 180 degrees.

    Returns:
        The weighted mean around each pixel, rounded.
    """

    # OpenCV goes through Fourier space for large kernels: its error is far below what could change a rounding.
    def weigh(pixels: Strip) -> None:
        cv2.filter2D(pixels, cv2.CV_64F, kernel, dst=pixels, borderType=cv2.BORDER_REFLECT_101)

    return _in_strips(image, kernel.shape[0] // 2, float(kernel.sum()), weigh)


def convolve_separable(image: RgbImage, kernel: Kernel) -> RgbImage:
    """Convolves an image with one symmetric kernel along its columns and along its rows, mirrored at its borders.

    Args:
        image: (H, W, 3) uint8 RGB.
        kernel: (2 n + 1,), symmetric.

    Returns:
        The weighted mean around each pixel, rounded.
    """

    def weigh(pixels: Strip) -> None:
        cv2.sepFilter2D(pixels, cv2.CV_64F, kernel, kernel, dst=pixels, borderType=cv2.BORDER_REFLECT_101)

    return _in_strips(image, len(kernel) // 2, float(kernel.sum()) ** 2, weigh)


def _in_strips(image: RgbImage, reach: int, total: float, weigh: Callable[[Strip], None]) -> RgbImage:
    """Filters strip by strip, since double precision takes eight times an image's memory."""
    height, width = image.shape[:2]
    rows = max(_STRIP_PIXELS // width, 4 * reach, 1)
    result = np.empty_like(image)
    for top in range(0, height, rows):
        first = max(top - reach, 0)
        pixels = image[first : top + rows + reach].astype(np.float64)
        weigh(pixels)
        weighed = pixels[top - first : top - first + rows]
        cv2.multiply(weighed, (1 / total,) * 4, dst=result[top : top + rows], dtype=cv2.CV_8U)
    return result
