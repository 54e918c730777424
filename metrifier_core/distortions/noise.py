"""Noise: signed, unbiased, and at every severity a function of the same random field."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from metrifier_core.distortions.fields import FIELD_SIZE, draw_field, normal_quantiles, uniform_field
from metrifier_core.distortions.registry import register_distortion
from metrifier_core.images import RgbImage

Field = NDArray[np.uint16]

_TABLES = 16
_POISSON_BITS = 12
_CHUNK = 1 << 17


@lru_cache(maxsize=_TABLES)
def _grey_noise(sigma: float) -> NDArray[np.int16]:
    # Rounded here, once per value of the field: an image's grey levels are integers.
    return np.rint(255 * sigma * normal_quantiles()).clip(-255, 255).astype(np.int16)[None]


@lru_cache(maxsize=_TABLES)
def _normal_deviates(mean: float, sigma: float) -> NDArray[np.float32]:
    return (mean + sigma * normal_quantiles()).astype(np.float32)[None]


@register_distortion("noise", (0.01, 4.0), prepare=uniform_field)
def gaussian_noise(image: RgbImage, sigma: float, field: Field) -> RgbImage:
    """Add independent normal noise to every channel of every pixel: x + sigma z, z standard normal.

    A standard deviation of 1 is the range from black to white. Formula: Hendrycks and Dietterich, ImageNet-C (arXiv
    1903.12261).
    """
    return np.asarray(cv2.add(image, cv2.LUT(field, _grey_noise(sigma)), dtype=cv2.CV_8U))


@lru_cache(maxsize=_TABLES)
def _photon_table(photons: float) -> NDArray[np.uint8]:
    """Tabulate the output for every input grey level and 2**12 quantiles of its Poisson distribution."""
    from scipy.special import pdtr

    quantiles = (np.arange(1 << _POISSON_BITS) + 0.5) / (1 << _POISSON_BITS)
    counts = np.arange(int(photons + 8 * np.sqrt(photons) + 20))
    table = np.zeros((256, len(quantiles)), np.uint8)
    for level in range(1, 256):
        counted = np.searchsorted(pdtr(counts, photons * level / 255), quantiles)
        alike = np.bincount(counted)
        # Of the quantiles with the same count, round up as many as keep their mean: rounding is unbiased.
        among = (np.arange(len(quantiles)) + 0.5 - (np.cumsum(alike) - alike)[counted]) / alike[counted]
        table[level] = np.floor(counted * (255 / photons) + among).clip(0, 255)
    return table.reshape(-1)


@register_distortion("noise", (500.0, 0.1), prepare=uniform_field)
def shot_noise(image: RgbImage, photons: float, field: Field) -> RgbImage:
    """Count photons: bright pixels get more of them, and more noise, than dark ones.

    The result is Poisson(x photons) / photons, biased only where it is clipped at white; `photons` is the mean count of
    a white channel. A pixel's count is the same quantile of its distribution at every severity. Formula: Hendrycks and
    Dietterich, ImageNet-C (arXiv 1903.12261).
    """
    table = _photon_table(photons)
    result = np.empty_like(image)
    levels, quantiles, counted = image.reshape(-1), field.reshape(-1), result.reshape(-1)
    for start in range(0, image.size, _CHUNK):  # in chunks: an index takes eight bytes
        chunk = slice(start, start + _CHUNK)
        index = levels[chunk].astype(np.intp)
        index <<= _POISSON_BITS
        index |= quantiles[chunk] >> (16 - _POISSON_BITS)
        table.take(index, out=counted[chunk], mode="wrap")
    return result


@register_distortion("noise", (0.02, 8.0), prepare=uniform_field)
def speckle_noise(image: RgbImage, sigma: float, field: Field) -> RgbImage:
    """Multiply every channel of every pixel by an independent normal factor of mean 1 and standard deviation `sigma`.

    Formula: x + x sigma z, z standard normal; Hendrycks and Dietterich, ImageNet-C (arXiv 1903.12261).
    """
    return np.asarray(cv2.multiply(image, cv2.LUT(field, _normal_deviates(1, sigma)), dtype=cv2.CV_8U))


@register_distortion("noise", (0.001, 1.0), prepare=uniform_field)
def impulse_noise(image: RgbImage, amount: float, field: Field) -> RgbImage:
    """Set a share `amount` of the values to black or to white, both equally often.

    What is set at one severity is set at all higher ones. Formula: Hendrycks and Dietterich, ImageNet-C (arXiv
    1903.12261).
    """
    rank = round(amount / 2 * FIELD_SIZE)
    kept = np.negative((field >= rank).view(np.uint8))
    salt = np.negative((field >= FIELD_SIZE - rank).view(np.uint8))
    np.bitwise_and(image, kept, out=kept)
    return np.bitwise_or(kept, salt, out=kept)


def _chroma_fields(image: RgbImage, rng: np.random.Generator) -> Field:
    return draw_field((2, *image.shape[:2]), rng)


@register_distortion("noise", (0.01, 8.0), prepare=_chroma_fields)
def chroma_noise(image: RgbImage, sigma: float, field: Field) -> RgbImage:
    """Add independent normal noise to the two colour differences, Cb and Cr, and none to the brightness.

    A standard deviation of 1 is the range from black to white; the field (2, H, W) has one plane for each. Formula:
    RGB = Y + M (Cb, Cr) of ITU-T T.871 (JFIF), section 7.
    """
    blue, red = (np.asarray(cv2.LUT(plane, _normal_deviates(0, 255 * sigma))) for plane in field)
    green = np.float32(-0.344136) * blue
    green -= np.float32(0.714136) * red
    added = cv2.merge([np.float32(1.402) * red, green, np.float32(1.772) * blue])
    return np.asarray(cv2.add(image, added, dtype=cv2.CV_8U))
