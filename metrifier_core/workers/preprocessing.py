"""What a classifier does to an image before its first layer."""

import cv2
import numpy as np
from numpy.typing import NDArray

from metrifier_core.images import RgbImage
from metrifier_core.workers.interface import INTEGER_RANGES, ModelInterface

__all__ = ["centre_crop", "prepare"]


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
    return _resize(square, size)


def _resize(image: RgbImage, size: int) -> RgbImage:
    height, width = image.shape[:2]
    # Area averaging when shrinking: plain bilinear sampling would add aliasing that the camera never saw.
    if max(height, width) > size:
        image = np.asarray(cv2.resize(image, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA))
    if min(height, width) < size:
        image = np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR))
    return np.asarray(image, np.uint8)


def prepare(image: RgbImage, interface: ModelInterface) -> NDArray[np.generic]:
    """Makes of an image what a classifier's first layer is given.

    Args:
        image: (H, W, 3) uint8 RGB.
        interface: What the classifier expects.

    Returns:
        (S, S, 3) or (3, S, S) of the interface's dtype.
    """
    size = interface.input_size
    square = centre_crop(image, size, interface.crop_fraction) if interface.resize == "crop" else _resize(image, size)
    deviation = np.asarray(interface.std, np.float32)
    factor = np.asarray(interface.scale / deviation, np.float32)
    offset = np.asarray(np.asarray(interface.mean, np.float32) / deviation, np.float32)
    if interface.channels == "BGR":
        square, factor, offset = cv2.cvtColor(square, cv2.COLOR_RGB2BGR), factor[::-1], offset[::-1]
    pixels = _normalise(square, factor, offset, np.dtype(interface.dtype))
    return np.stack(cv2.split(pixels)) if interface.layout == "NCHW" else pixels


def _normalise(
    square: RgbImage, factor: NDArray[np.float32], offset: NDArray[np.float32], dtype: np.dtype[np.generic]
) -> NDArray[np.generic]:
    """Computes x * factor - offset channel by channel, rounded where the result is of whole numbers."""
    size = len(square)
    if dtype == np.float32:
        # Long rows: a sum over three channels at a time costs several times as much.
        rows = square.reshape(size, -1).astype(np.float32)
        rows *= np.tile(factor, size)
        rows -= np.tile(offset, size)
        return rows.reshape(square.shape)
    # A pixel has 256 values: a table is faster than conversion to another type one by one.
    table = np.arange(256, dtype=np.float32)[:, None] * factor - offset
    converted = (np.rint(table) if dtype.name in INTEGER_RANGES else table).astype(dtype)
    # OpenCV has no numbers of 16 bits but whole ones, and looks them up all the same.
    storage = np.uint16 if dtype == np.float16 else dtype
    return np.asarray(cv2.LUT(square, converted.view(storage)[None])).view(dtype)
