"""Random fields of integers, the same on every machine."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from metrifier_core.images import RgbImage

FIELD_SIZE = 1 << 16
"""The number of values that a field can take, 0 to 65535, all equally likely."""

_MAX_FRACTAL = 512


def draw_field(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.uint16]:
    """Draw independent integers, uniform in [0, 65536), four from each 64 random bits."""
    count = int(np.prod(shape))
    words = rng.integers(0, 2**64 - 1, -(-count // 4), np.uint64, endpoint=True)
    return words.astype("<u8", copy=False).view("<u2")[:count].reshape(shape)


def uniform_field(image: RgbImage, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Draw a field of the image's shape, see `draw_field`."""
    return draw_field(image.shape, rng)


@lru_cache(maxsize=1)
def normal_quantiles() -> NDArray[np.float64]:
    """Tabulate the standard normal deviate for each value of a field.

    Returns:
        (65536,): the quantile at (value + 1/2) / 65536, symmetric around 0, from -4.2 to 4.2.
    """
    from scipy.special import ndtri

    upper = ndtri((np.arange(FIELD_SIZE // 2, FIELD_SIZE) + 0.5) / FIELD_SIZE)
    return np.concatenate([-upper[::-1], upper])


def draw_fractal(image: RgbImage, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Draw a smooth 1/frequency field: noise at every octave, half as strong as at the one before.

    Args:
        image: Determines the size.
        rng: Generator of the octaves.

    Returns:
        (H, W) field from 0 to 65535, without detail finer than 1/512 of the longer side; it spans the whole range
        before it is enlarged to the image.
        Source: Fournier, Fussell and Carpenter, Computer rendering of stochastic models, CACM 25 (1982).
    """
    height, width = image.shape[:2]
    longer = max(height, width)
    field = np.zeros((1, 1), np.uint16)
    amplitude, side = 1, 1
    while side < min(longer, _MAX_FRACTAL):
        side, amplitude = 2 * side, amplitude + 1
        sides = (max(1, -(-side * width // longer)), max(1, -(-side * height // longer)))
        field = np.asarray(cv2.resize(field, sides, interpolation=cv2.INTER_LINEAR_EXACT))
        field += draw_field(field.shape, rng) >> amplitude
    # Stretch before enlarging: the extremes are at the corners of a small grid.
    lowest, highest = int(field.min()), int(field.max())
    span = max(1, highest - lowest)
    stretched = ((field.astype(np.uint32) - lowest) * (FIELD_SIZE - 1) // span).astype(np.uint16)
    return np.asarray(cv2.resize(stretched, (width, height), interpolation=cv2.INTER_LINEAR_EXACT))
