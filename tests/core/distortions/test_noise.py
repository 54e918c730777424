"""Noise has the right strength, is unbiased, and uses one field for all severities."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import poisson

from metrifier_core.distortions import SEVERITIES, get_distortion, list_distortions
from metrifier_core.distortions.fields import draw_field, normal_quantiles
from tests.helpers.example_images import (
    Image,
    distort,
    distort_to,
    drawn_image,
    flat_image,
    natural_image,
    noise_image,
    prepare,
)

SIDE = 128


def middle_grey() -> Image:
    """Return a board of 127 and 128: clipping at black and at white cancel out."""
    return (127 + np.indices((SIDE, SIDE)).sum(axis=0) % 2).astype(np.uint8)[:, :, None].repeat(3, axis=2)


def grey_for(distortion: str, severity: int) -> Image:
    """Return a grey level at which clipping does not change the mean."""
    if distortion != "shot_noise":
        # Normal deviates, and salt and pepper, are symmetric around the middle of the range. For speckle noise, too,
        # only the middle is unbiased: its factor is clipped at 0 and at 255 / grey.
        return middle_grey()
    # Counts are skewed and clipped only at white, which has to be 4 sigma (and 4 counts) above the mean.
    photons = get_distortion(distortion).severity_levels[severity - 1]
    expected = (np.sqrt(4 + photons) - 2) ** 2
    return flat_image(SIDE, SIDE, round(255 * expected / photons))


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("distortion", list_distortions("noise"))
def test_noise_has_no_bias(distortion: str, severity: int) -> None:
    grey = grey_for(distortion, severity)
    added = distort(grey, distortion, severity, seed=3).astype(float) - grey
    for channel in np.moveaxis(added, -1, 0):
        assert channel.std() > 1
        assert abs(channel.mean()) < 3 * channel.std() / np.sqrt(channel.size)


@pytest.mark.parametrize("distortion", list_distortions("noise"))
def test_noise_of_one_pixel_says_nothing_of_the_next(distortion: str) -> None:
    grey = flat_image(SIDE, SIDE, 100)
    added = distort_to(grey, distortion, get_distortion(distortion).severity_levels[0]).astype(float) - grey
    for one, other in ((added[1:], added[:-1]), (added[:, 1:], added[:, :-1])):
        for channel in range(3):
            correlation = np.corrcoef(one[:, :, channel].ravel(), other[:, :, channel].ravel())[0, 1]
            assert abs(correlation) < 4 / SIDE


@pytest.mark.parametrize("distortion", sorted({*list_distortions("noise")} - {"chroma_noise"}))
def test_channels_get_noise_of_their_own(distortion: str) -> None:
    added = distort(middle_grey(), distortion, 1).astype(float) - middle_grey()
    correlations = np.corrcoef(added.reshape(-1, 3).T)[[0, 0, 1], [1, 2, 2]]
    assert np.abs(correlations).max() < 4 / SIDE


# Gaussian


@pytest.mark.parametrize("sigma", [0.03, 0.06, 0.1])  # more would be clipped
def test_gaussian_noise_is_as_strong_as_it_says(sigma: float) -> None:
    added = distort_to(flat_image(256, 256, 128), "gaussian_noise", sigma) - 128.0
    assert added.std() == pytest.approx(255 * sigma, rel=0.01)
    within = [np.mean(np.abs(added) < count * 255 * sigma) for count in (1, 2, 3)]
    assert within == pytest.approx([0.683, 0.954, 0.997], abs=0.05), "as a normal distribution has it"


def test_gaussian_noise_is_one_field_scaled() -> None:
    mild, severe = (distort_to(flat_image(64, 64, 128), "gaussian_noise", sigma) - 128.0 for sigma in (0.02, 0.1))
    assert np.abs(mild / 0.02 - severe / 0.1).max() <= 0.5 / 0.02 + 0.5 / 0.1, "up to rounding"


def test_gaussian_noise_of_a_pixel_is_the_quantile_of_its_field() -> None:
    image = natural_image(0)
    deviate = normal_quantiles()[prepare(image, "gaussian_noise")]
    expected = np.clip(image + 255 * 0.2 * deviate, 0, 255)
    assert np.abs(distort_to(image, "gaussian_noise", 0.2) - expected).max() <= 0.5 + 1e-6


# Shot


def test_shot_noise_counts_photons() -> None:
    greys = np.array([20, 80, 140])
    counted = distort_to(flat_image(256, 256, *greys), "shot_noise", 100).astype(float).reshape(-1, 3)
    variance = greys * 255 / 100
    assert counted.var(axis=0) == pytest.approx(variance, rel=0.03)
    assert np.all(np.abs(counted.mean(axis=0) - greys) < 3 * np.sqrt(variance / len(counted)))


@pytest.mark.parametrize("photons", [1, 3.5, 60, 400])
def test_shot_noise_is_one_quantile_at_every_severity(photons: float) -> None:
    image = noise_image(0, 24, 32)
    quantile = (prepare(image, "shot_noise") // 16 + 0.5) / 4096
    count = poisson.ppf(quantile, photons * (image / 255))
    expected = np.where(image == 0, 0, np.clip(count * (255 / photons), 0, 255))
    error = distort_to(image, "shot_noise", photons) - expected
    assert np.abs(error).max() < 1


def test_shot_noise_is_rounded_up_as_often_as_keeps_its_mean() -> None:
    """At 7 photons a count is 36.43 grey levels: always rounding to 36 would darken the image."""
    counted = distort_to(flat_image(256, 256, 60), "shot_noise", 7)
    rest = counted[(counted == 36) | (counted == 37)] - 36
    assert rest.mean() == pytest.approx(3 / 7, abs=0.02)


@pytest.mark.parametrize("distortion", ["shot_noise", "speckle_noise"])
def test_black_stays_black_where_noise_grows_with_light(distortion: str) -> None:
    image = natural_image(0).copy()
    image[:10] = 0
    for severity in SEVERITIES:
        distorted = distort(image, distortion, severity)
        assert not distorted[:10].any()
        assert distorted[10:].any()


# Speckle


def test_speckle_noise_is_proportional_to_the_grey_level() -> None:
    greys = np.array([20, 60, 120])
    added = distort_to(flat_image(256, 256, *greys), "speckle_noise", 0.2).astype(float) - greys
    assert added.std(axis=(0, 1)) == pytest.approx(0.2 * greys, rel=0.02)


def test_speckle_noise_multiplies_by_a_normal_factor() -> None:
    image = natural_image(1)
    deviate = normal_quantiles()[prepare(image, "speckle_noise")]
    expected = np.clip(image * (1 + 0.5 * deviate), 0, 255)
    assert np.abs(distort_to(image, "speckle_noise", 0.5) - expected).max() <= 0.5 + 1e-4


# Impulse


@pytest.mark.parametrize("amount", [0.002, 0.03, 0.2, 0.7])
def test_impulse_noise_sets_the_share_that_it_says(amount: float) -> None:
    image = flat_image(SIDE, SIDE, 100)
    distorted = distort_to(image, "impulse_noise", amount)
    deviation = np.sqrt(amount / 2 * (1 - amount / 2) / image.size)
    for value in (0, 255):
        assert abs(np.mean(distorted == value) - amount / 2) < 3 * deviation
    assert np.isin(distorted, [0, 100, 255]).all()


def test_impulse_noise_may_set_everything() -> None:
    distorted = distort_to(natural_image(0), "impulse_noise", 1.0)
    assert set(np.unique(distorted)) == {0, 255}


def test_what_impulse_noise_sets_stays_set() -> None:
    image = flat_image(SIDE, SIDE, 100)
    versions = [distort_to(image, "impulse_noise", amount) for amount in (0.01, 0.1, 0.3, 0.9)]
    for milder, worse in pairwise(versions):
        was_set = milder != 100
        np.testing.assert_array_equal(worse[was_set], milder[was_set])
        assert np.count_nonzero(worse != 100) > np.count_nonzero(was_set)


def test_impulse_noise_keeps_what_it_does_not_set() -> None:
    image = drawn_image()
    distorted = distort_to(image, "impulse_noise", 0.2)
    kept = (distorted != 0) & (distorted != 255)
    np.testing.assert_array_equal(distorted[kept], image[kept])


# Chroma

LUMA = np.array([0.299, 0.587, 0.114])


def test_chroma_noise_leaves_the_brightness() -> None:
    image = (natural_image(2) // 4 + 96).astype(np.uint8)  # so that nothing is clipped
    distorted = distort_to(image, "chroma_noise", 0.05)
    assert 0 < distorted.min() <= distorted.max() < 255
    assert np.abs(distorted @ LUMA - image @ LUMA).max() <= 0.5 + 1e-9, "each channel is rounded"


def test_chroma_noise_is_as_strong_as_it_says_in_both_colour_differences() -> None:
    noise = distort_to(flat_image(256, 256, 128), "chroma_noise", 0.05) - 128.0
    # Rec. ITU-R BT.601: blue and red minus the brightness, scaled to the same range.
    blue, red = (noise[:, :, 2] - noise @ LUMA) / 1.772, (noise[:, :, 0] - noise @ LUMA) / 1.402
    assert (blue.std(), red.std()) == pytest.approx((255 * 0.05, 255 * 0.05), rel=0.01)
    assert abs(np.corrcoef(blue.ravel(), red.ravel())[0, 1]) < 4 / 256


def test_the_two_fields_of_chroma_noise_are_those_drawn() -> None:
    image = flat_image(16, 24, 128)
    field = prepare(image, "chroma_noise", seed=5)
    np.testing.assert_array_equal(field, draw_field((2, 16, 24), np.random.default_rng(5)))
    added = distort_to(image, "chroma_noise", 0.1, seed=5) - 128.0
    blue, red = 25.5 * normal_quantiles()[field]
    expected = np.stack([1.402 * red, -0.344136 * blue - 0.714136 * red, 1.772 * blue], axis=-1)
    expected = np.clip(expected, -128, 127)
    assert np.abs(added - expected).max() <= 0.5 + 1e-3
