"""Distortions are pure, seeded, monotone, and stored without loss."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from metrifier_core.distortions import (
    PRISTINE,
    SEVERITIES,
    DistortionSettings,
    apply_distortion,
    choose_versions,
    encode_version,
    get_distortion,
    list_distortions,
    version_seed,
)
from metrifier_core.images import ImageError, decode_image
from metrifier_core.parallel import parallel_map
from tests.core.pixel_digests import example_image, pixel_digests

GOLDEN: dict[str, list[str]] = json.loads(Path("tests/golden/pixels.json").read_text())
DISTORTIONS = list_distortions()
IMAGE = example_image()[:48, :65]

every_distortion = pytest.mark.parametrize("distortion", DISTORTIONS)


def distort(image: NDArray[np.uint8], distortion: str, severity: int, seed: int = 0) -> NDArray[np.uint8]:
    return apply_distortion(image, distortion, severity, np.random.default_rng(seed))


def make_natural_image(seed: int, height: int = 97, width: int = 120) -> NDArray[np.uint8]:
    """Random, with the spectrum of photographs: amplitude falls with frequency."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = 1
    noise = np.random.default_rng(seed).standard_normal((3, height, width))
    field = np.fft.irfft2(np.fft.rfft2(noise) / frequency, s=(height, width)).transpose(1, 2, 0)
    image: NDArray[np.uint8] = np.rint(128 + 50 * (field - field.mean()) / field.std()).clip(0, 255).astype(np.uint8)
    return image


def psnr(image: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / np.mean((image.astype(float) - reference) ** 2)))


# Golden pixels


def test_golden_pixels_are_of_every_distortion() -> None:
    assert sorted(GOLDEN) == DISTORTIONS, "see tests/core/pixel_digests.py"


def test_pixels_are_golden_in_any_thread() -> None:
    assert dict(zip(DISTORTIONS, parallel_map(pixel_digests, DISTORTIONS), strict=True)) == GOLDEN


@pytest.mark.parametrize("threads", [1, 3])
def test_pixels_do_not_depend_on_the_number_of_threads(threads: int) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        assert {name: pixel_digests(name) for name in DISTORTIONS} == GOLDEN
    finally:
        cv2.setNumThreads(before)


def test_pixels_do_not_depend_on_the_process() -> None:
    printed = subprocess.run([sys.executable, "-m", "tests.core.pixel_digests"], check=True, capture_output=True)
    assert json.loads(printed.stdout) == GOLDEN


# What holds for every distortion


@every_distortion
def test_every_severity_is_worse_than_the_one_before(distortion: str) -> None:
    for seed in range(20):
        image = make_natural_image(seed)
        quality = [psnr(distort(image, distortion, severity, seed), image) for severity in SEVERITIES]
        assert np.all(np.diff(quality) < 0), f"image {seed}: {np.round(quality, 2)} dB"


@every_distortion
@given(st.integers(8, 40), st.integers(8, 40), st.sampled_from(SEVERITIES))
@settings(deadline=None, max_examples=25)
def test_any_size_is_kept(distortion: str, height: int, width: int, severity: int) -> None:
    distorted = distort(IMAGE[:height, :width], distortion, severity)
    assert distorted.shape == (height, width, 3)
    assert distorted.dtype == np.uint8


@every_distortion
def test_the_input_is_not_changed(distortion: str) -> None:
    image = IMAGE.copy()
    image.flags.writeable = False
    for severity in SEVERITIES:
        distorted = distort(image, distortion, severity)
        assert not np.shares_memory(distorted, image)
        assert not np.array_equal(distorted, image)


@every_distortion
def test_a_view_is_distorted_as_its_copy(distortion: str) -> None:
    view = example_image()[10:90:2, 100:20:-2]
    np.testing.assert_array_equal(distort(view, distortion, 3), distort(view.copy(), distortion, 3))


@every_distortion
def test_all_severities_share_one_random_field(distortion: str) -> None:
    states = []
    for severity in SEVERITIES:
        rng = np.random.default_rng(7)
        apply_distortion(IMAGE, distortion, severity, rng)
        states.append(rng.bit_generator.state)
    assert all(state == states[0] for state in states)


@every_distortion
def test_stored_versions_are_lossless(distortion: str) -> None:
    for severity in SEVERITIES:
        stored = encode_version(IMAGE, distortion, severity, seed=11)
        np.testing.assert_array_equal(decode_image(stored), distort(IMAGE, distortion, severity, seed=11))
        assert encode_version(IMAGE, distortion, severity, seed=11) == stored


def test_a_codec_is_stored_as_its_own_bytes() -> None:
    assert encode_version(IMAGE, "jpeg", 1, seed=0).startswith(b"\xff\xd8\xff")
    assert encode_version(IMAGE, "contrast", 1, seed=0).startswith(b"\x89PNG")


@every_distortion
def test_a_flat_image_stays_flat_or_gets_noise(distortion: str) -> None:
    grey = np.full((24, 24, 3), 128, np.uint8)
    changed = distort(grey, distortion, 5).astype(int) - 128
    if get_distortion(distortion).family == "noise":
        assert changed.std() > 10
    else:
        assert np.abs(changed).max() <= 1, "codecs may round"


# Noise


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("distortion", list_distortions("noise"))
def test_noise_is_signed(distortion: str, severity: int) -> None:
    grey = np.full((128, 128, 3), 128, np.uint8)
    added = distort(grey, distortion, severity, seed=3).astype(float) - 128
    for channel in np.moveaxis(added, -1, 0):
        assert abs(channel.mean()) < 3 * channel.std() / np.sqrt(channel.size)


def test_gaussian_noise_is_as_strong_as_it_says() -> None:
    grey = np.full((256, 256, 3), 128, np.uint8)
    for severity in (1, 2):  # later ones are clipped
        sigma = 255 * get_distortion("gaussian_noise").severity_levels[severity - 1]
        assert distort(grey, "gaussian_noise", severity).std() == pytest.approx(sigma, rel=0.01)


def test_gaussian_noise_is_one_field_scaled_by_severity() -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    levels = get_distortion("gaussian_noise").severity_levels
    mild, severe = (distort(grey, "gaussian_noise", severity).astype(float) - 128 for severity in (1, 5))
    unclipped = (severe > -128) & (severe < 127)
    field = severe / levels[4]
    assert np.abs(mild / levels[0] - field)[unclipped].max() <= 0.5 / levels[0] + 0.5 / levels[4]


# Formulas


def test_contrast_draws_every_channel_towards_its_mean() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, :4] = [200, 100, 40]
    image[:, 4:] = [100, 200, 40]
    assert distort(image, "contrast", 1)[0, 0].tolist() == [150 + 20, 150 - 20, 40], "0.4 of 50 is left"
    assert distort(image, "contrast", 4)[0, 7].tolist() == [150 - 5, 150 + 5, 40], "0.1 of 50 is left"


def test_blur_convolves_with_a_normal_density() -> None:
    image = make_natural_image(0)
    for severity in SEVERITIES:
        sigma = get_distortion("gaussian_blur").severity_levels[severity - 1]
        expected = gaussian_filter(image.astype(float), (sigma, sigma, 0), mode="mirror", truncate=8)
        error = distort(image, "gaussian_blur", severity) - expected
        assert np.abs(error).max() < 1.1, "OpenCV's kernels have 8 bits"
        assert abs(error.mean()) < 0.02


def test_pixelate_averages_blocks() -> None:
    image = example_image()[:40, :40]
    blocks = image.reshape(20, 2, 20, 2, 3).mean(axis=(1, 3))
    expected = blocks.repeat(2, axis=0).repeat(2, axis=1)
    assert np.abs(distort(image, "pixelate", 2) - expected).max() <= 0.5


def test_pixelate_shows_the_block_that_a_pixel_lies_in() -> None:
    image = make_natural_image(0, 96, 128)
    for severity in SEVERITIES:
        scale = get_distortion("pixelate").severity_levels[severity - 1]
        height, width = round(96 * scale), round(128 * scale)
        blocks: Any = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        rows, columns = (
            (2 * np.arange(side) + 1) * small // (2 * side) for side, small in ((96, height), (128, width))
        )
        np.testing.assert_array_equal(distort(image, "pixelate", severity), blocks[np.ix_(rows, columns)])


# What is refused


@every_distortion
@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (IMAGE.astype(np.float32) / 255, "got float32 .*: multiply by 255"),
        (IMAGE.astype(np.int64), "got int64"),
        (IMAGE[:, :, 0], r"got uint8 \(48, 65\)"),
        (IMAGE[None], r"got uint8 \(1, 48, 65, 3\)"),
        (np.zeros((16, 16, 4), np.uint8), r"got uint8 \(16, 16, 4\)"),
        (IMAGE[:7], "65 x 7 pixels: each side must be at least 8"),
        ("image.png", "got str"),
    ],
)
def test_what_is_no_image_is_refused(distortion: str, image: Any, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        distort(image, distortion, 1)
    with pytest.raises(ImageError, match=reason):
        encode_version(image, distortion, 1, seed=0)


@every_distortion
@pytest.mark.parametrize("severity", [0, 6, -1])
def test_a_severity_out_of_range_is_refused(distortion: str, severity: int) -> None:
    with pytest.raises(ValueError, match=f"^severity {severity} of {distortion}: allowed are 1 to 5$"):
        distort(IMAGE, distortion, severity)
    with pytest.raises(ValueError, match="allowed are 1 to 5"):
        encode_version(IMAGE, distortion, severity, seed=0)


def test_an_unknown_name_is_refused_with_what_is_close() -> None:
    with pytest.raises(ValueError, match=r"^unknown distortion 'gausian_noise', did you mean 'gaussian_noise'\?$"):
        get_distortion("gausian_noise")
    with pytest.raises(ValueError, match=r"^unknown distortion 'xyz', allowed: .*contrast, .*jpeg"):
        distort(IMAGE, "xyz", 1)
    with pytest.raises(ValueError, match="unknown distortion 'pristine'"):
        encode_version(IMAGE, PRISTINE, 1, seed=0)


def test_families_can_be_listed() -> None:
    assert "gaussian_noise" in list_distortions("noise")
    assert not set(list_distortions("noise")) & set(list_distortions("blur"))
    assert list_distortions("smell") == []


# Seeds and versions


def test_a_seed_belongs_to_an_image_and_a_type() -> None:
    """Golden: a change here would change every data set."""
    assert version_seed(0, "digit-0000", "gaussian_noise") == 534028362390171350
    assert version_seed(0, "digit-0000", PRISTINE) == 8658446235389392519
    seeds = {version_seed(seed, image, name) for seed in (0, 1) for image in ("a", "b") for name in DISTORTIONS}
    assert len(seeds) == 4 * len(DISTORTIONS)
    assert max(seeds) < 2**63, "it has to fit into a signed column"


SETTINGS = DistortionSettings(types=["jpeg", "contrast", "gaussian_noise"], held_out=["pixelate"])
IMAGES = [f"image-{index}" for index in range(200)]


def sampled(count: int, **others: Any) -> DistortionSettings:
    return SETTINGS.model_copy(update={"versions_per_source": count, **others})


def test_all_versions_are_made_where_no_number_is_given() -> None:
    versions = choose_versions("image", "train", SETTINGS, 0)
    assert versions == [(PRISTINE, 0), *((name, severity) for name in SETTINGS.types for severity in SEVERITIES)]


def test_held_out_distortions_are_for_test_images_alone() -> None:
    held_out = [("pixelate", severity) for severity in SEVERITIES]
    assert choose_versions("image", "test", SETTINGS, 0) == choose_versions("image", "train", SETTINGS, 0) + held_out
    for split in ("train", "validation"):
        assert not set(choose_versions("image", split, sampled(15), 0)) & set(held_out)


@pytest.mark.parametrize("count", [1, 4, 15, 100])
def test_a_sample_has_the_size_asked_for(count: int) -> None:
    for image in IMAGES[:20]:
        train, test = (choose_versions(image, split, sampled(count), 0) for split in ("train", "test"))
        assert train[0] == test[0] == (PRISTINE, 0)
        assert len(set(train)) == len(train) == 1 + min(count, 15)
        assert len(set(test)) == len(test) == 1 + min(count, 15) + min(count, 5)
        assert test[: len(train)] == train


def test_a_larger_sample_has_all_of_a_smaller_one() -> None:
    for image in IMAGES[:20]:
        samples = [set(choose_versions(image, "test", sampled(count), 0)) for count in range(1, 16)]
        assert all(smaller <= larger for smaller, larger in pairwise(samples))


def test_samples_differ_between_images_and_seeds_but_not_between_calls() -> None:
    samples = {image: choose_versions(image, "train", sampled(3), 0) for image in IMAGES}
    assert samples == {image: choose_versions(image, "train", sampled(3), 0) for image in reversed(IMAGES)}
    assert len(set(map(str, samples.values()))) > 100
    assert samples != {image: choose_versions(image, "train", sampled(3), 1) for image in IMAGES}


def test_samples_are_spread_evenly() -> None:
    chosen = [version for image in IMAGES for version in choose_versions(image, "train", sampled(3), 0)[1:]]
    counts = [chosen.count((name, severity)) for name in SETTINGS.types for severity in SEVERITIES]
    deviation = np.sqrt(len(IMAGES) * 0.2 * 0.8)
    assert np.abs(np.array(counts) - len(IMAGES) * 3 / 15).max() < 4 * deviation


def test_fewer_severities_make_fewer_versions() -> None:
    few = SETTINGS.model_copy(update={"severities": [2, 4]})
    assert {severity for _, severity in choose_versions("image", "train", few, 0)} == {0, 2, 4}
