"""What a classifier does to an image before its first layer."""

import cv2
import numpy as np
from numpy.typing import NDArray

from metrifier_core.images import RgbImage

__all__ = ["centre_crop", "normalise"]


def centre_crop(image: RgbImage, size: int, crop_fraction: float) -> RgbImage:
    """Resizes the short side to size / crop_fraction and cuts out the centre.

    An image whose short side is already below that is not enlarged for the sake of a crop: its whole centre square
    is used.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: Pixels a side of the result.
        crop_fraction: Share of the resized short side that is kept, in (0, 1].

    Returns:
        (size, size, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    short = min(height, width)
    side = short if short < round(size / crop_fraction) else round(short * crop_fraction)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    # Area averaging when shrinking: plain bilinear sampling would add aliasing that the camera never saw.
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (size, size), interpolation=interpolation), dtype=np.uint8)


def normalise(
    image: RgbImage, scale: float, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Computes (x * scale - mean) / std, channel by channel in RGB order."""
    deviation = np.asarray(std, np.float32)
    factor = np.asarray(scale / deviation, np.float32)
    offset = np.asarray(np.asarray(mean, np.float32) / deviation, np.float32)
    # A pixel has 256 values: a table is several times faster than the same sum on every one.
    table = np.arange(256, dtype=np.float32)[:, None] * factor - offset
    return np.asarray(cv2.LUT(image, table[None]), np.float32)
