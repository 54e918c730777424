"""Fog, and the distortions for testing only, against their formulas."""

from itertools import pairwise

import numpy as np
import pytest

from tests.helpers.example_images import distort_to, drawn_image, flat_image, natural_image, prepare

# Fog


@pytest.mark.parametrize("density", [0.3, 1, 5])
@pytest.mark.parametrize("brightest", [255, 140, 30])
def test_fog_lies_between_the_scene_and_the_field(density: float, brightest: int) -> None:
    image = np.minimum(natural_image(0), brightest)
    assert image.max() == brightest
    field = prepare(image, "fog")[:, :, None] / 65_535
    value = brightest / 255
    expected = 255 * (image / 255 + density * field) * value / (value + density)
    distorted = distort_to(image, "fog", density)
    assert np.abs(distorted - expected).max() <= 0.5 + 1e-3
    fog = brightest * field
    assert np.all(distorted <= np.maximum(image, fog) + 0.5)
    assert np.all(distorted >= np.minimum(image, fog) - 0.5)


def test_in_the_densest_fog_the_field_alone_is_seen() -> None:
    one, other = (distort_to(natural_image(seed), "fog", 60).astype(int) for seed in (0, 1))
    assert natural_image(0).max() == natural_image(1).max() == 255
    assert np.abs(one - other).max() <= 255 / 60 + 1
    assert np.ptp(one) > 200


def test_fog_is_white() -> None:
    grey = distort_to(flat_image(64, 64, 90), "fog", 2)
    np.testing.assert_array_equal(grey[:, :, 0], grey[:, :, 1])
    np.testing.assert_array_equal(grey[:, :, 0], grey[:, :, 2])


def test_fog_in_the_dark_is_dark() -> None:
    assert distort_to(flat_image(64, 64, 0), "fog", 60).max() <= 1


# Plasma


@pytest.mark.parametrize("strength", [0.1, 0.4, 2.0])
def test_plasma_adds_the_field(strength: float) -> None:
    image = natural_image(4)
    field = prepare(image, "plasma")[:, :, None] / 65_535
    expected = np.clip(image + 255 * strength * (2 * field - 1), 0, 255)
    assert np.abs(distort_to(image, "plasma", strength) - expected).max() <= 0.5 + 1e-9


def test_plasma_is_as_often_dark_as_light() -> None:
    grey = flat_image(32, 32, 128)
    added = [distort_to(grey, "plasma", 0.4, seed).mean() - 128 for seed in range(200)]
    assert abs(np.mean(added)) < 3 * np.std(added) / np.sqrt(len(added))
    assert np.std(added) > 1


def test_plasma_is_grey() -> None:
    added = distort_to(flat_image(64, 64, 128), "plasma", 0.4)
    assert np.ptp(added, axis=2).max() == 0
    assert added.min() < 64
    assert added.max() > 192


# Checkerboard

WHITE = flat_image(160, 160, 255)


@pytest.mark.parametrize("size", [0.1, 0.5, 0.9, 1.0])
def test_the_board_covers_what_it_says(size: float) -> None:
    """It covers the middle of every other square of 20 pixels, within one pixel a side."""
    for seed in range(5):
        covered = distort_to(WHITE, "checkerboard", size, seed)[:, :, 0] == 128
        low, high = (max(0, 20 * size + slack) ** 2 / 400 / 2 for slack in (-1, 1))
        assert low <= covered.mean() <= high


def test_the_board_is_one_of_squares() -> None:
    """Shifted by one square, black and white swap."""
    covered = distort_to(WHITE, "checkerboard", 1.0, seed=2)[:, :, 0] == 128
    np.testing.assert_array_equal(covered[20:], ~covered[:-20])
    np.testing.assert_array_equal(covered[:, 20:], ~covered[:, :-20])
    np.testing.assert_array_equal(covered[20:, 20:], covered[:-20, :-20])


def test_what_the_board_covers_stays_covered() -> None:
    image = drawn_image()
    for seed in range(3):
        covered = [
            np.all(distort_to(flat_image(193, 257, 255), "checkerboard", size, seed) == 128, axis=2)
            for size in (0.3, 0.7, 1.0, 1.2, 1.6, 2.0)
        ]
        for smaller, larger in pairwise(covered):
            assert np.all(larger[smaller])
            assert larger.sum() > smaller.sum()
        assert covered[-1].all(), "at 2 everything is covered"
        distorted = distort_to(image, "checkerboard", 0.7, seed)
        np.testing.assert_array_equal(distorted, np.where(covered[1][:, :, None], 128, image))


def test_the_board_lies_elsewhere_in_every_image() -> None:
    boards = [distort_to(WHITE, "checkerboard", 0.6, seed)[:, :, 0] == 128 for seed in range(100)]
    assert len({board.tobytes() for board in boards}) > 50, "a square of 20 pixels has 400 places"
    assert abs(np.mean(boards) - 0.18) < 0.01, "half of 0.6 squared"
    assert np.mean(boards, axis=0).std() < 0.07, "no place is covered more often than another"
