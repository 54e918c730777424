"""Tone: changes of grey levels; all but brightness are tables of 256 values."""

import cv2
import numpy as np
from numpy.typing import NDArray

from metrifier_core.distortions.registry import register_distortion
from metrifier_core.images import RgbImage

_LEVELS = np.arange(256, dtype=np.float64)
_LINEAR_CODE = 0.04045  # sRGB is linear below


def _look_up(image: RgbImage, table: NDArray[np.float64]) -> RgbImage:
    """Map grey levels by a table (256,), or by one for each channel (256, 3), rounded."""
    rounded = np.rint(table).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, rounded if table.ndim == 1 else rounded[None]))


def _channel_means(image: RgbImage, rng: np.random.Generator) -> NDArray[np.float64]:  # noqa: ARG001
    return np.array(cv2.mean(image)[:3])


@register_distortion("tone", (0.95, 0.005), prepare=_channel_means)
def contrast(image: RgbImage, factor: float, means: NDArray[np.float64]) -> RgbImage:
    """Move every channel towards its own mean; a share `factor` in (0, 1) of the deviation from it is left.

    Formula: Hendrycks and Dietterich, ImageNet-C (arXiv 1903.12261).
    """
    return _look_up(image, (_LEVELS[:, None] - means) * factor + means)


@register_distortion("tone", (0.9, 0.0001))
def low_light(image: RgbImage, exposure: float) -> RgbImage:
    """Darken the image as a shorter exposure would; shadows collapse into few grey levels.

    A share `exposure` in (0, 1) of the light is left. Formula: scaling between the inverse and the transfer function of
    sRGB, IEC 61966-2-1.
    """
    encoded = _LEVELS / 255
    light = exposure * np.where(encoded <= _LINEAR_CODE, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    dark = np.where(light <= _LINEAR_CODE / 12.92, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return _look_up(image, 255 * dark)


@register_distortion("tone", (32, 2), whole=True)
def posterize(image: RgbImage, tones: float) -> RgbImage:
    """Reduce each channel to a few tones, an integer of at least 2, evenly spaced from black to white.

    Formula: uniform quantisation, Gonzalez and Woods, Digital Image Processing, section 2.4.
    """
    return _look_up(image, np.floor(_LEVELS * tones / 256) * (255 / (tones - 1)))


def _value(image: RgbImage, rng: np.random.Generator) -> NDArray[np.uint8]:  # noqa: ARG001
    red, green, blue = cv2.split(image)
    return np.asarray(cv2.max(cv2.max(red, green), blue))


@register_distortion("tone", (0.02, 8.0), prepare=_value)
def brightness(image: RgbImage, amount: float, value: NDArray[np.uint8]) -> RgbImage:
    """Raise the value of every pixel in HSV; hue and saturation are kept until a channel clips.

    An amount of 1 is the range from black to white. Formula: Hendrycks and Dietterich, ImageNet-C (arXiv 1903.12261),
    but clipping each channel by itself, as a camera does, where theirs clips the value and so leaves a saturated red
    unchanged.
    """
    raised = _LEVELS + 255 * amount
    # To keep hue and saturation, scale all channels by the factor of the largest one.
    factor = (raised / np.maximum(_LEVELS, 1)).astype(np.float32)
    bright = cv2.multiply(image, cv2.merge([cv2.LUT(value, factor)] * 3), dtype=cv2.CV_8U)
    # Black has no hue: it becomes grey.
    grey = np.zeros(256, np.uint8)
    grey[0] = np.rint(min(raised[0], 255))
    return np.asarray(cv2.add(bright, cv2.merge([cv2.LUT(value, grey)] * 3)))
