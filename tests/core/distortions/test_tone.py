"""Tone against the formulas, pixel by pixel."""

import colorsys

import numpy as np
import pytest

from tests.helpers.example_images import Image, distort_to, drawn_image, extreme_image, flat_image, natural_image

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)


# Contrast


def test_contrast_draws_every_channel_towards_its_mean() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, :4] = [200, 100, 40]
    image[:, 4:] = [100, 200, 40]
    assert distort_to(image, "contrast", 0.4)[0, 0].tolist() == [150 + 20, 150 - 20, 40], "0.4 of 50 is left"
    assert distort_to(image, "contrast", 0.1)[0, 7].tolist() == [150 - 5, 150 + 5, 40], "0.1 of 50 is left"


@pytest.mark.parametrize("factor", [0.9, 0.37, 0.05])
def test_contrast_keeps_the_mean_and_scales_the_deviation(factor: float) -> None:
    image = drawn_image()
    mean = image.mean(axis=(0, 1))
    error = distort_to(image, "contrast", factor) - (mean + factor * (image - mean))
    assert np.abs(error).max() <= 0.5 + 1e-9


# Low light


def to_light(code: float) -> float:
    """Apply the inverse transfer function of sRGB."""
    return code / 12.92 if code <= 0.04045 else ((code + 0.055) / 1.055) ** 2.4


def to_code(light: float) -> float:
    """Apply the transfer function of sRGB."""
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


@pytest.mark.parametrize("exposure", [0.9, 0.5, 0.1, 0.01, 0.001])
def test_low_light_leaves_a_share_of_the_light(exposure: float) -> None:
    expected = [255 * to_code(exposure * to_light(grey / 255)) for grey in range(256)]
    dark = distort_to(RAMP, "low_light", exposure)
    for channel in np.moveaxis(dark, -1, 0):
        assert np.abs(channel.ravel() - expected).max() <= 0.5 + 0.01, "the two sides of the curve meet in five digits"


def test_low_light_leaves_few_tones() -> None:
    counts = [len(np.unique(distort_to(RAMP, "low_light", exposure))) for exposure in (0.5, 0.1, 0.02, 0.004)]
    assert counts == sorted(set(counts), reverse=True)
    assert counts[-1] < 20


# Posterize


@pytest.mark.parametrize("tones", [2, 3, 4, 7, 16, 32])
def test_posterize_leaves_tones_from_black_to_white(tones: int) -> None:
    found, counts = np.unique(distort_to(RAMP, "posterize", tones), return_counts=True)
    assert np.abs(found - np.linspace(0, 255, tones)).max() <= 0.5, "evenly spread"
    assert np.ptp(counts / 3) <= 1, "each stands for as many"


def test_posterize_keeps_the_order_of_tones() -> None:
    for tones in (2, 5, 11):
        assert np.all(np.diff(distort_to(RAMP, "posterize", tones)[:, :, 0].ravel().astype(int)) >= 0)


def test_posterize_takes_every_channel_by_itself() -> None:
    image = natural_image(0)
    whole = distort_to(image, "posterize", 3)
    for channel in range(3):
        alone = image[:, :, [channel] * 3]
        np.testing.assert_array_equal(distort_to(alone, "posterize", 3)[:, :, 0], whole[:, :, channel])


# Brightness


def raise_value(pixel: list[int], amount: float) -> list[float]:
    hue, saturation, value = colorsys.rgb_to_hsv(*(level / 255 for level in pixel))
    return [255 * min(level, 1) for level in colorsys.hsv_to_rgb(hue, saturation, value + amount)]


@pytest.mark.parametrize("amount", [0.02, 0.1, 0.35, 0.8, 1.0, 4.0])
@pytest.mark.parametrize("image", [extreme_image(), drawn_image()[:20, :31], RAMP], ids=["extreme", "drawn", "grey"])
def test_brightness_raises_the_value_in_hsv(image: Image, amount: float) -> None:
    expected = [raise_value(pixel, amount) for pixel in image.reshape(-1, 3).tolist()]
    error = distort_to(image, "brightness", amount).reshape(-1, 3) - np.array(expected)
    assert np.abs(error).max() <= 0.5 + 1e-3


def test_brightness_of_a_few_colours() -> None:
    colours = [[0, 0, 0], [255, 255, 255], [100, 50, 0], [255, 51, 0], [1, 0, 0], [60, 60, 60]]
    expected = [[51, 51, 51], [255, 255, 255], [151, 76, 0], [255, 61, 0], [52, 0, 0], [111, 111, 111]]
    for colour, bright in zip(colours, expected, strict=True):
        np.testing.assert_array_equal(
            distort_to(flat_image(8, 8, *colour), "brightness", 0.2), flat_image(8, 8, *bright)
        )
