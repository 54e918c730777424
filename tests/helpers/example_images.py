"""Images to distort, the same on every machine, and short ways to distort them."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrifier_core.distortions import apply_distortion, apply_levels, get_distortion

Image = NDArray[np.uint8]


@cache
def drawn_image() -> Image:
    """Gradients, edges and texture in whole numbers; odd sides."""
    rows, columns = np.indices((193, 257))
    red = columns * 255 // 256
    green = 40 + 160 * ((rows // 24 + columns // 17) % 2)
    blue = (rows * columns // 61 + 3 * rows) % 256
    return _frozen(np.stack([red, green, blue], axis=-1))


@cache
def photograph() -> Image:
    """Eaves and a wall before the sky, out of the larger photograph that scikit-learn comes with."""
    from sklearn.datasets import load_sample_image

    return _frozen(load_sample_image("china.jpg")[112:160, 240:304])


@cache
def extreme_image() -> Image:
    """Black, white and pure colours above, uniform noise below; upright."""
    image = np.random.default_rng(0).integers(0, 256, (83, 50, 3))
    colours = [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]
    image[:40] = np.repeat(colours, 10, axis=0)
    image[20:40, :20] = 0
    return _frozen(image)


IMAGES = {"drawn": drawn_image, "photograph": photograph, "extreme": extreme_image}


@cache
def natural_image(seed: int, height: int = 97, width: int = 120) -> Image:
    """Random, with the spectrum of photographs: amplitude falls with frequency."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = 1
    noise = np.random.default_rng(seed).standard_normal((3, height, width))
    field = np.fft.irfft2(np.fft.rfft2(noise) / frequency, s=(height, width)).transpose(1, 2, 0)
    return _frozen(np.rint(128 + 50 * (field - field.mean()) / field.std()).clip(0, 255))


@cache
def noise_image(seed: int, height: int = 97, width: int = 120) -> Image:
    """Random, every value as likely: what is furthest from a photograph."""
    return _frozen(np.random.default_rng(seed).integers(0, 256, (height, width, 3)))


def flat_image(height: int, width: int, *grey: int) -> Image:
    """One grey level, or one for each channel."""
    return np.full((height, width, 3), grey, np.uint8)


def distort(image: Any, distortion: str, severity: int, seed: int = 0) -> Image:
    """Return what the distortion makes of the image at the package's level for the severity."""
    return apply_distortion(image, distortion, severity, np.random.default_rng(seed))


def distort_to(image: Image, distortion: str, level: float, seed: int = 0) -> Image:
    """Return what the distortion makes of the image at any level."""
    return next(apply_levels(image, get_distortion(distortion), [level], np.random.default_rng(seed)))


def prepare(image: Image, distortion: str, seed: int = 0) -> Any:
    """Return what all severities share: the random field."""
    make = get_distortion(distortion).prepare
    assert make is not None
    return make(image, np.random.default_rng(seed))


def psnr(image: Image, reference: Image) -> float:
    return float(10 * np.log10(255**2 / np.mean((image.astype(float) - reference) ** 2)))


def _frozen(pixels: NDArray[Any]) -> Image:
    image = pixels.astype(np.uint8)
    image.flags.writeable = False
    return image
