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
    # A table of the 256 pixel values serves every dtype.
    table = np.arange(256, dtype=np.float32)[:, None] * factor - offset
    dtype = np.dtype(interface.dtype)
    table = (np.rint(table) if dtype.name in INTEGER_RANGES else table).astype(dtype)
    # OpenCV has no float16: look its bits up as uint16.
    table = table.view(np.uint16) if dtype == np.float16 else table
    if interface.channels == "BGR":
        square, table = cv2.cvtColor(square, cv2.COLOR_RGB2BGR), np.ascontiguousarray(table[:, ::-1])
    if interface.layout == "NHWC":
        return np.asarray(cv2.LUT(square, table[None])).view(dtype)
    planes = np.empty((3, *square.shape[:2]), table.dtype)
    for plane, values, output in zip(cv2.split(square), table.T.copy(), planes, strict=True):
        cv2.LUT(plane, values, dst=output)
    return planes.view(dtype)
