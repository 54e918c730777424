"""Blurs against direct convolutions and enlargements by SciPy."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import convolve, gaussian_filter, map_coordinates

from tests.helpers.example_images import Image, distort_to, drawn_image, flat_image, natural_image, noise_image, prepare

Floats = NDArray[np.float64]

# Large enough to be filtered in several strips: wide, and tall with a last strip of one row.
LARGE = {"wide": natural_image(5, 90, 1000), "tall": natural_image(6, 501, 100)}


def spread(image: Image, kernel: Floats) -> Floats:
    """Convolve directly, pixel by pixel."""
    return np.asarray(convolve(image.astype(float), kernel[:, :, None] / kernel.sum(), mode="mirror"))


# Gaussian


@pytest.mark.parametrize("sigma", [0.5, 1, 2.25, 6])
@pytest.mark.parametrize("image", [natural_image(0), noise_image(0), drawn_image()], ids=["natural", "noise", "drawn"])
def test_gaussian_blur_convolves_with_a_normal_density(image: Image, sigma: float) -> None:
    expected = gaussian_filter(image.astype(float), (sigma, sigma, 0), mode="mirror", truncate=4)
    error = distort_to(image, "gaussian_blur", sigma) - expected
    assert np.abs(error).max() <= 0.51
    assert abs(error.mean()) < 0.02


def test_gaussian_blur_is_mirrored_as_often_as_it_takes() -> None:
    image = natural_image(0, 9, 13)
    expected = gaussian_filter(image.astype(float), (10, 10, 0), mode="mirror", truncate=4)
    assert np.abs(distort_to(image, "gaussian_blur", 10) - expected).max() <= 0.51


# Defocus


def disk(radius: float, points: int = 100) -> Floats:
    """Return the share of every pixel that lies within the radius, from many points in each."""
    reach = math.ceil(radius)
    offsets = (np.arange((2 * reach + 1) * points) + 0.5) / points - reach - 0.5
    inside = np.hypot(offsets[:, None], offsets) <= radius
    return np.asarray(inside.reshape(2 * reach + 1, points, -1, points).mean(axis=(1, 3)))


@pytest.mark.parametrize("radius", [1.5, 2.9, 6])
def test_defocus_blur_spreads_every_point_over_a_disk(radius: float) -> None:
    image = natural_image(1)
    error = distort_to(image, "defocus_blur", radius) - spread(image, disk(radius))
    assert np.abs(error).max() <= 1, "half of which is rounding"
    assert error.std() < 0.35, "rounding alone makes 0.29"


def test_a_point_out_of_focus_is_round_and_even() -> None:
    image = flat_image(33, 33, 0)
    image[16, 16] = 255
    seen = distort_to(image, "defocus_blur", 5)[:, :, 0].astype(int)
    distance = np.hypot(*(np.indices(seen.shape) - 16))
    assert set(np.unique(seen[distance < 4])) == {round(255 / (np.pi * 25))}
    assert not seen[distance > 6].any()
    for turned in (seen[::-1], seen[:, ::-1], seen.T):
        np.testing.assert_array_equal(turned, seen)


# Motion


def line(length: float, angle: float) -> Floats:
    """Draw points along a line, each spread bilinearly over the pixels around it."""
    reach = math.ceil(length / 2) + 1
    along = (np.arange(20_000) + 0.5) / 20_000 * length - length / 2
    pixels = np.arange(-reach, reach + 1)
    across = np.maximum(0, 1 - np.abs(along[:, None] * math.cos(angle) - pixels))
    down = np.maximum(0, 1 - np.abs(along[:, None] * math.sin(angle) - pixels))
    return np.asarray(down.T @ across)


def trace(length: float, seed: int) -> Floats:
    """Return the trace of a bright point."""
    image = flat_image(41, 41, 0)
    image[20, 20] = 255
    return distort_to(image, "motion_blur", length, seed)[:, :, 0].astype(float)


def main_axis(seen: Floats) -> tuple[float, float, float]:
    """Return the variances along and across a line, and its angle."""
    offsets = np.indices(seen.shape)[::-1].reshape(2, -1) - 20
    variances, axes = np.linalg.eigh(np.cov(offsets, aweights=seen.ravel(), ddof=0))
    return variances[1], variances[0], math.atan2(axes[1, 1], axes[0, 1]) % math.pi


@pytest.mark.parametrize("length", [5, 9, 14])
def test_a_moving_point_leaves_a_line(length: float) -> None:
    for seed in range(12):
        seen = trace(length, seed)
        assert seen.sum() == pytest.approx(255, rel=0.04), "rounded in every pixel"
        np.testing.assert_array_equal(seen, seen[::-1, ::-1])
        along, across, _ = main_axis(seen)
        # A point between two pixels is shared by them, with a variance of up to 1/4, on average 1/6.
        assert math.sqrt(12 * (along - 1 / 6)) == pytest.approx(length, abs=0.5)
        assert across < 0.3


def test_a_line_has_the_same_direction_at_every_length() -> None:
    for seed in range(12):
        turns = [
            main_axis(trace(length, seed))[2] - prepare(flat_image(8, 8, 0), "motion_blur", seed) for length in (9, 20)
        ]
        assert all(abs(math.sin(turn)) < 0.03 for turn in turns)


def test_every_direction_is_as_likely() -> None:
    angles = np.array([prepare(flat_image(8, 8, 0), "motion_blur", seed) for seed in range(400)])
    shares = np.histogram(angles, bins=8, range=(0, math.pi))[0] / 400
    assert shares.sum() == 1
    assert np.abs(shares - 1 / 8).max() < 4 * math.sqrt(1 / 8 * 7 / 8 / 400)


@pytest.mark.parametrize(("length", "error"), [(1.5, 1.2), (4, 0.85), (11.3, 0.7), (20, 0.65)])
def test_motion_blur_convolves_with_a_line(length: float, error: float) -> None:
    """Half a grey level is rounding; the 64 points per pixel of a short line make the rest."""
    image = natural_image(2)
    for seed in range(4):
        kernel = line(length, prepare(image, "motion_blur", seed))
        assert np.abs(distort_to(image, "motion_blur", length, seed) - spread(image, kernel)).max() <= error


# Strips


@pytest.mark.parametrize("size", LARGE)
def test_strips_do_not_show(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = LARGE[size]
    blurs = [("gaussian_blur", 1.2), ("defocus_blur", 2.2), ("motion_blur", 7), ("motion_blur", 60)]
    in_strips = [distort_to(image, name, level) for name, level in blurs]
    references = [
        gaussian_filter(image.astype(float), (1.2, 1.2, 0), mode="mirror"),
        spread(image, disk(2.2)),
        spread(image, line(7, prepare(image, "motion_blur"))),
    ]
    for distorted, expected in zip(in_strips[:3], references, strict=True):
        assert np.abs(distorted - expected).max() <= 1
    monkeypatch.setattr("metrifier_core.distortions.blur._STRIP_PIXELS", image.size)
    for (name, level), distorted in zip(blurs, in_strips, strict=True):
        np.testing.assert_array_equal(distort_to(image, name, level), distorted, name)


# Zoom


def enlarge(image: Image, factor: float) -> Floats:
    """Enlarge bilinearly, around the centre."""
    rows, columns = (((side - 1) / 2 + (np.arange(side) - (side - 1) / 2) / factor) for side in image.shape[:2])
    places: Any = np.meshgrid(rows, columns, indexing="ij")
    channels = [map_coordinates(channel.astype(float), places, order=1) for channel in np.moveaxis(image, -1, 0)]
    return np.stack(channels, axis=-1)


@pytest.mark.parametrize("size", [(97, 120), (80, 41)])
@pytest.mark.parametrize("amount", [0.01, 0.06, 0.3, 1.2])
def test_zoom_blur_is_the_mean_of_enlargements(amount: float, size: tuple[int, int]) -> None:
    # Without fine detail, which enlarging in steps blurs slightly more than enlarging at once.
    image = np.rint(gaussian_filter(natural_image(3, *size).astype(float), (3, 3, 0))).astype(np.uint8)
    moved = (1 - 1 / (1 + amount)) * max(size) / 2
    count = 2 ** max(1, math.ceil(math.log2(moved + 1)))
    factors = (1 + amount) ** (np.arange(count) / (count - 1))
    expected = np.mean([enlarge(image, factor) for factor in factors], axis=0)
    error = distort_to(image, "zoom_blur", amount) - expected
    assert np.abs(error).max() < 1.6
    assert abs(error.mean()) < 0.05


def test_zoom_blur_leaves_the_centre_and_smears_the_border() -> None:
    image = drawn_image()[:65, :65]
    image = np.ascontiguousarray(image)
    change = np.abs(distort_to(image, "zoom_blur", 0.2).astype(int) - image).mean(axis=2)
    distance = np.hypot(*(np.indices(change.shape) - 32))
    assert change[32, 32] <= 2
    assert change[distance < 4].mean() < change[distance > 24].mean() / 3


@pytest.mark.parametrize("distortion", ["defocus_blur", "gaussian_blur", "motion_blur"])
def test_blur_adds_no_light(distortion: str) -> None:
    image = flat_image(81, 81, 100)
    image[36:45, 36:45] = 220
    total = distort_to(image, distortion, 4).astype(float).sum() - 100 * image.size
    assert total == pytest.approx(120 * 81 * 3, rel=0.01)
