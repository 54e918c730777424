"""Blur, as from a lens out of focus, or from a moving or zooming camera."""

import math
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from metrifier_core.distortions.registry import register_distortion
from metrifier_core.images import ImageError, RgbImage

Kernel: TypeAlias = NDArray[np.float64]
"""Non-negative integers whose sum is odd, so that no pixel lies halfway between two grey levels."""

_STRIP_PIXELS = 25_000  # 600 kB in double precision, which fits into cache
_KERNELS = 16
_NORMAL_WEIGHTS = 1 << 20
_SUBPIXELS = 8
_SAMPLES_PER_PIXEL = 64
_ZOOM_BITS = 6
_ZOOM_MAX_SIDE = 32_766  # OpenCV's maps hold 16 bits


def _odd_sum(kernel: Kernel) -> Kernel:
    """Add 1 to the middle of an integer kernel whose sum is even."""
    if kernel.sum() % 2 == 0:
        kernel[tuple(side // 2 for side in kernel.shape)] += 1
    return kernel


def _convolve(image: RgbImage, kernel: Kernel) -> RgbImage:
    """Convolve an image with an integer kernel, mirroring the image at its borders, and round.

    Sums of integers in double precision are exact, so that the pixels are the same on every machine. The kernel is
    (2 m + 1, 2 n + 1), unchanged by a turn of 180 degrees; or (2 n + 1,), applied to columns and to rows.
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


@lru_cache(maxsize=_KERNELS)
def _normal_kernel(sigma: float) -> Kernel:
    reach = math.ceil(4 * sigma)
    density = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    return _odd_sum(np.rint(_NORMAL_WEIGHTS * density / density.sum()))


@register_distortion("blur", (0.3, 20.0))
def gaussian_blur(image: RgbImage, sigma: float) -> RgbImage:
    """Convolve the image with a normal density of standard deviation `sigma` in pixels, cut off at 4 sigma.

    Formula: Gonzalez and Woods, Digital Image Processing, section 3.5.
    """
    return _convolve(image, _normal_kernel(sigma))


@lru_cache(maxsize=_KERNELS)
def _disk_kernel(radius: float) -> Kernel:
    """Count, of 8 x 8 points in every pixel, those within the radius."""
    reach = math.ceil(radius - 0.5)
    side = 2 * reach + 1
    offsets = (np.arange(side * _SUBPIXELS) + 0.5) / _SUBPIXELS - side / 2
    inside = offsets[:, None] ** 2 + offsets**2 <= radius**2
    return _odd_sum(inside.reshape(side, _SUBPIXELS, side, _SUBPIXELS).sum(axis=(1, 3)).astype(np.float64))


@register_distortion("blur", (0.6, 40.0))
def defocus_blur(image: RgbImage, radius: float) -> RgbImage:
    """Spread every point over a disk of `radius` pixels, as a lens out of focus does.

    Formula: Hendrycks and Dietterich, ImageNet-C (arXiv 1903.12261), with a smooth rim, where a pixel weighs as many of
    its 8 x 8 points as lie inside.
    """
    return _convolve(image, _disk_kernel(radius))


def _draw_angle(image: RgbImage, rng: np.random.Generator) -> float:  # noqa: ARG001
    return float(rng.uniform(0, math.pi))


def _line_kernel(length: float, angle: float) -> Kernel:
    """Distribute each point of a line bilinearly over the four pixels around it."""
    count = 2 * math.ceil(length * _SAMPLES_PER_PIXEL / 2) + 1
    along = np.linspace(-length / 2, length / 2, count)
    column, row = along * math.cos(angle), along * math.sin(angle)
    reach_x, reach_y = math.ceil(abs(column[0])), math.ceil(abs(row[0]))
    kernel = np.zeros((2 * reach_y + 3, 2 * reach_x + 3))
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    for x, weight_x in ((left, left + 1 - column), (left + 1, column - left)):
        for y, weight_y in ((top, top + 1 - row), (top + 1, row - top)):
            np.add.at(kernel, (y + reach_y + 1, x + reach_x + 1), weight_x * weight_y)
    # The two halves differ only in the last bits of the sums; rounded, they mirror each other.
    rounded = np.rint(kernel + kernel[::-1, ::-1])
    return _odd_sum(rounded[_extent(rounded.any(axis=1)), :][:, _extent(rounded.any(axis=0))])


def _extent(used: NDArray[np.bool_]) -> slice:
    first = int(used.argmax())
    return slice(first, len(used) - first)


@register_distortion("blur", (1.0, 120.0), prepare=_draw_angle)
def motion_blur(image: RgbImage, length: float, angle: float) -> RgbImage:
    """Move the image at constant speed along a straight line, `length` pixels long, during the exposure.

    The angle is in radians, uniform in [0, pi). Formula: Gonzalez and Woods, Digital Image Processing, section 5.6
    (uniform linear motion).
    """
    return _convolve(image, _line_kernel(length, angle))


def _zoom(image: NDArray[np.uint16], factor: float) -> NDArray[np.uint16]:
    """Enlarge an image around its centre, bilinearly, at positions of 1/32 pixel."""
    positions = []
    for side in image.shape[:2]:
        centre = (side - 1) / 2
        positions.append(np.rint(32 * (centre + (np.arange(side) - centre) / factor)).astype(np.int32))
    rows, columns = positions[0][:, None], positions[1][None]
    corner = np.empty((*image.shape[:2], 2), np.int16)
    corner[:, :, 0], corner[:, :, 1] = columns >> 5, rows >> 5
    fraction = ((rows & 31) * 32 + (columns & 31)).astype(np.uint16)
    return np.asarray(cv2.remap(image, corner, fraction, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


@register_distortion("blur", (0.003, 3.0))
def zoom_blur(image: RgbImage, amount: float) -> RgbImage:
    """Zoom towards the centre of the image during the exposure, from 1 to 1 + `amount` in equal ratios.

    The result is the mean of 2**k enlargements, at most a pixel apart at the border, made from each other by bilinear
    steps. Formula: Hendrycks and Dietterich, ImageNet-C (arXiv 1903.12261), with enlargements in geometric steps.

    Raises:
        ImageError: A side has more than 32766 pixels.
    """
    height, width = image.shape[:2]
    if max(height, width) > _ZOOM_MAX_SIDE:
        raise ImageError(f"{width} x {height} pixels: zoom_blur takes at most {_ZOOM_MAX_SIDE} a side")
    factor = 1 + amount
    moved = (1 - 1 / factor) * max(height, width) / 2
    doublings = max(1, math.ceil(math.log2(moved + 1)))
    step = factor ** (1 / (2**doublings - 1))
    # With 6 bits below a grey level, OpenCV's sums of 1/1024 are exact in single precision.
    mean = np.asarray(image.astype(np.uint16) << _ZOOM_BITS, np.uint16)
    for doubling in range(doublings):
        # Averaging the mean with itself enlarged doubles the number of enlargements.
        mean += _zoom(mean, step ** (2**doubling))
        mean += doubling % 2
        mean >>= 1
    mean += 1 << (_ZOOM_BITS - 1)
    mean >>= _ZOOM_BITS
    return mean.astype(np.uint8)
