"""Exact convolution: integer kernels, summed in double precision, give the same pixels on every machine."""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from metrifier_core.images import RgbImage

Kernel: TypeAlias = NDArray[np.float64]
"""Non-negative integers whose sum is odd, so that no pixel lies halfway between two grey levels."""

_STRIP_PIXELS = 25_000  # 600 kB in double precision, which fits into cache


def odd_sum(kernel: Kernel) -> Kernel:
    """Add 1 to the middle of an integer kernel whose sum is even."""
    if kernel.sum() % 2 == 0:
        kernel[tuple(side // 2 for side in kernel.shape)] += 1
    return kernel


def convolve(image: RgbImage, kernel: Kernel) -> RgbImage:
    """Convolve an image with a symmetric kernel, mirroring the image at its borders.

    Args:
        image: (H, W, 3) uint8 RGB.
        kernel: (2 m + 1, 2 n + 1), unchanged by a turn of 180 degrees; or (2 n + 1,), applied to columns and to rows.

    Returns:
        The weighted mean around each pixel, rounded.
    """
    height, width = image.shape[:2]
    reach, separable = len(kernel) // 2, kernel.ndim == 1
    total = float(kernel.sum()) ** (2 if separable else 1)
    rows = max(_STRIP_PIXELS // width, 4 * reach, 1)
    result = np.empty_like(image)
    for top in range(0, height, rows):  # in strips: double precision takes eight times an image's memory
        first = max(top - reach, 0)
        pixels = image[first : top + rows + reach].astype(np.float64)
        if separable:
            cv2.sepFilter2D(pixels, cv2.CV_64F, kernel, kernel, dst=pixels, borderType=cv2.BORDER_REFLECT_101)
        else:  # large kernels by Fourier transform, whose error is far too small to change a rounding
            cv2.filter2D(pixels, cv2.CV_64F, kernel, dst=pixels, borderType=cv2.BORDER_REFLECT_101)
        weighed = pixels[top - first : top - first + rows]
        cv2.multiply(weighed, (1 / total,) * 4, dst=result[top : top + rows], dtype=cv2.CV_8U)
    return result
