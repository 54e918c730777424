"""The views of an image that the metrifier scores: crops at native resolution, since resizing hides blur and noise."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from metrifier_core.images import RgbImage

_MAX_CROPS_PER_SIDE = 3
_GLOBAL_VIEW_SHARE = 0.25
_SEEN_SHARE = 0.875  # of a side: classifiers' own crops leave out as much at the edges


def _pad(image: RgbImage, size: int) -> RgbImage:
    """Mirror an image at its edges until each side has `size` pixels."""
    height, width = image.shape[:2]
    down, right = max(0, size - height), max(0, size - width)
    if not down and not right:
        return image
    top, left = down // 2, right // 2
    padded = cv2.copyMakeBorder(image, top, down - top, left, right - left, cv2.BORDER_REFLECT_101)
    return np.asarray(padded, dtype=np.uint8)


def _global_view(image: RgbImage, size: int) -> RgbImage:
    """Shrink the short side to `size` and cut out the centre."""
    height, width = image.shape[:2]
    scale = size / min(height, width)
    shape = (max(size, round(width * scale)), max(size, round(height * scale)))
    shrunk = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    return _crop(np.asarray(shrunk, dtype=np.uint8), size, 0.5, 0.5)


def _crop(image: RgbImage, size: int, down: float, right: float) -> RgbImage:
    """Cut out a square; `down` and `right` in [0, 1] are its place between the edges."""
    top = round((image.shape[0] - size) * down)
    left = round((image.shape[1] - size) * right)
    return image[top : top + size, left : left + size]


def _is_larger(side: int, size: int) -> bool:
    """Tell whether one crop covers less of a side than a classifier would see."""
    return side * _SEEN_SHARE > size


def _places(side: int, size: int) -> NDArray[np.float64]:
    count = min(_MAX_CROPS_PER_SIDE, math.ceil(side / size)) if _is_larger(side, size) else 1
    return np.linspace(0, 1, count) if count > 1 else np.array([0.5])


def make_views(image: RgbImage, size: int) -> NDArray[np.uint8]:
    """Return all views that an image is scored by: a grid of crops and, of a larger image, one global view.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: Pixels a side of a view.

    Returns:
        (V, size, size, 3) uint8, V from 1 to 10.
    """
    padded = _pad(image, size)
    height, width = padded.shape[:2]
    views = [_crop(padded, size, down, right) for down in _places(height, size) for right in _places(width, size)]
    if _is_larger(min(height, width), size):
        views.append(_global_view(padded, size))
    return np.stack(views)


def central_view(image: RgbImage, size: int) -> RgbImage:
    """Return the crop from the middle, (size, size, 3) uint8 RGB."""
    return _crop(_pad(image, size), size, 0.5, 0.5)


def random_view(image: RgbImage, size: int, draws: NDArray[np.float64], *, flip: bool) -> RgbImage:
    """Return one of an image's possible views, for training.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: Pixels a side of the view.
        draws: Four numbers in [0, 1): kind of view, place down, place right, flip.
        flip: Whether half of the views are mirrored.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    padded = _pad(image, size)
    if draws[0] < _GLOBAL_VIEW_SHARE and _is_larger(min(padded.shape[:2]), size):
        view = _global_view(padded, size)
    else:
        view = _crop(padded, size, draws[1], draws[2])
    return view[:, ::-1] if flip and draws[3] < 0.5 else view  # noqa: PLR2004
