"""The preprocessing of an image for a classifier's first layer."""

import cv2
import numpy as np
from numpy.typing import NDArray

from metrifier_core.images import RgbImage
from metrifier_core.workers.interface import INTEGER_RANGES, Geometry, ModelInterface


def centre_crop(image: RgbImage, size: int, crop_fraction: float) -> RgbImage:
    """Resize the short side to size / crop_fraction and cut out the centre.

    An image whose short side is shorter than that is not enlarged for a crop: its whole central square is used.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: Side of the result in pixels.
        crop_fraction: Share of the resized short side to keep, in (0, 1].

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
    # Area averaging when shrinking: bilinear sampling would add aliasing that the camera never saw.
    if max(height, width) > size:
        image = np.asarray(cv2.resize(image, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA))
    if min(height, width) < size:
        image = np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR))
    return np.asarray(image, np.uint8)


def take_square(image: RgbImage, geometry: Geometry) -> RgbImage:
    """Crop or stretch an image to the square that a classifier sees; idempotent, so that classifiers may share it.

    Args:
        image: (H, W, 3) uint8 RGB.
        geometry: Size S and the way to it.

    Returns:
        (S, S, 3) uint8 RGB.
    """
    if geometry.resize == "crop":
        return centre_crop(image, geometry.size, geometry.crop_fraction)
    return _resize(image, geometry.size)


def prepare(image: RgbImage, interface: ModelInterface) -> NDArray[np.generic]:
    """Convert an image to the input of a classifier.

    Args:
        image: (H, W, 3) uint8 RGB.
        interface: Classifier's interface.

    Returns:
        (S, S, 3) or (3, S, S) of the interface's dtype.
    """
    square = take_square(image, interface.geometry)
    deviation = np.asarray(interface.std, np.float32)
    factor = np.asarray(interface.scale / deviation, np.float32)
    offset = np.asarray(np.asarray(interface.mean, np.float32) / deviation, np.float32)
    if interface.channels == "BGR":
        square, factor, offset = cv2.cvtColor(square, cv2.COLOR_RGB2BGR), factor[::-1], offset[::-1]
    planar = interface.layout == "NCHW"
    if interface.dtype == "float32":
        return _scale_planes(square, factor, offset) if planar else _scale_pixels(square, factor, offset)
    pixels = _look_up(square, factor, offset, np.dtype(interface.dtype))
    return np.stack(cv2.split(pixels)) if planar else pixels


def _scale_planes(square: RgbImage, factor: NDArray[np.float32], offset: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute x * factor - offset, channels first."""
    planes = np.stack(cv2.split(square)).astype(np.float32)
    planes *= factor[:, None, None]
    planes -= offset[:, None, None]
    return planes


def _scale_pixels(square: RgbImage, factor: NDArray[np.float32], offset: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute x * factor - offset, channels last."""
    size = len(square)
    # On long rows: broadcasting over three channels costs several times as much.
    rows = square.reshape(size, -1).astype(np.float32)
    rows *= np.tile(factor, size)
    rows -= np.tile(offset, size)
    return rows.reshape(square.shape)


def _look_up(
    square: RgbImage, factor: NDArray[np.float32], offset: NDArray[np.float32], dtype: np.dtype[np.generic]
) -> NDArray[np.generic]:
    """Compute x * factor - offset, channels last, rounded if the dtype is an integer."""
    # A table of the 256 pixel values is faster than converting every pixel.
    table = np.arange(256, dtype=np.float32)[:, None] * factor - offset
    converted = (np.rint(table) if dtype.name in INTEGER_RANGES else table).astype(dtype)
    # OpenCV has no float16: look its bits up as uint16.
    storage = np.uint16 if dtype == np.float16 else dtype
    return np.asarray(cv2.LUT(square, converted.view(storage)[None])).view(dtype)
