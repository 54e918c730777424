"""Reduced resolution: fewer pixels in the same frame."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metrifier_core.distortions.registry import register_distortion
from metrifier_core.images import RgbImage


def _small_side(side: int, scale: float) -> int:
    return max(1, round(side * scale))


def _edges(side: int, blocks: int) -> NDArray[np.intp]:
    """Cut a side into blocks: a pixel belongs to the block that contains its centre."""
    return -((blocks - 2 * side * np.arange(blocks + 1)) // (2 * blocks))


@register_distortion("resolution", (0.9, 0.01))
def pixelate(image: RgbImage, scale: float) -> RgbImage:
    """Show the image in fewer, larger square pixels, each the mean of exactly the pixels that it covers.

    The scale is the side of the small image over that of the image, in (0, 1). Formula: Hendrycks and Dietterich,
    ImageNet-C (arXiv 1903.12261).
    """
    height, width = image.shape[:2]
    rows, columns = _edges(height, _small_side(height, scale)), _edges(width, _small_side(width, scale))
    tall, wide = np.diff(rows), np.diff(columns)
    # Block sums are differences of an integral image; they are right even where it overflows.
    sums = cv2.integral(image).take(rows, axis=0).take(columns, axis=1)
    sums = np.diff(np.diff(sums, axis=0), axis=1)
    blocks = np.rint(sums / (tall[:, None] * wide)[:, :, None]).astype(np.uint8)
    # Move each pixel's four bytes as one integer.
    cells = cv2.cvtColor(blocks, cv2.COLOR_RGB2RGBA).view(np.uint32)
    repeated = cells.repeat(wide, axis=1).repeat(tall, axis=0).view(np.uint8)
    return np.asarray(cv2.cvtColor(repeated, cv2.COLOR_RGBA2RGB))


@register_distortion("resolution", (0.9, 0.01))
def bicubic_downscale(image: RgbImage, scale: float) -> RgbImage:
    """Shrink the image by a scale in (0, 1) and enlarge it again, both bicubically.

    Formula: Keys, Cubic convolution interpolation (1981), a = -1/2, stretched while shrinking.
    """
    height, width = image.shape[:2]
    small = (_small_side(width, scale), _small_side(height, scale))
    # Pillow resamples in fixed point: the result is the same on every machine.
    shrunk = Image.fromarray(image).resize(small, Image.Resampling.BICUBIC)
    return np.array(shrunk.resize((width, height), Image.Resampling.BICUBIC))
