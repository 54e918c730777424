"""Random fields of uniform integers, independent or smooth."""

from statistics import NormalDist

import numpy as np
import pytest

from metrifier_core.distortions.fields import FIELD_SIZE, draw_field, draw_fractal, normal_quantiles, uniform_field
from tests.helpers.example_images import flat_image

COUNT = 1 << 16


def test_every_bit_of_a_field_is_a_fair_coin() -> None:
    field = draw_field((COUNT,), np.random.default_rng(0))
    assert field.dtype == np.uint16
    ones = np.unpackbits(field.view(np.uint8)).reshape(COUNT, 16).mean(axis=0)
    assert np.abs(ones - 0.5).max() < 4 * 0.5 / np.sqrt(COUNT)


def test_a_field_is_uniform() -> None:
    field = draw_field((COUNT,), np.random.default_rng(1)) / FIELD_SIZE
    assert abs(field.mean() - 0.5) < 4 * np.sqrt(1 / 12 / COUNT)
    shares = np.histogram(field, bins=16, range=(0, 1))[0] / COUNT
    assert np.abs(shares - 1 / 16).max() < 4 * np.sqrt(1 / 16 * 15 / 16 / COUNT)


def test_values_of_a_field_know_nothing_of_each_other() -> None:
    """Four values come from one random number."""
    field = draw_field((COUNT,), np.random.default_rng(2)).astype(float)
    for distance in (1, 2, 3, 4, 8):
        correlation = np.corrcoef(field[distance:], field[:-distance])[0, 1]
        assert abs(correlation) < 4 / np.sqrt(COUNT)


@pytest.mark.parametrize("shape", [(1,), (3,), (4,), (7, 5, 3), (2, 8, 9)])
def test_a_field_has_any_shape(shape: tuple[int, ...]) -> None:
    field = draw_field(shape, np.random.default_rng(3))
    assert field.shape == shape
    longer = draw_field((1000,), np.random.default_rng(3))
    np.testing.assert_array_equal(field.reshape(-1), longer[: field.size], "the same numbers in the same order")


def test_a_uniform_field_has_the_shape_of_the_image() -> None:
    field = uniform_field(flat_image(9, 11, 0), np.random.default_rng(4))
    assert field.shape == (9, 11, 3)
    assert not np.array_equal(field[:, :, 0], field[:, :, 1])


# Normal


def test_normal_quantiles_are_those_of_the_middle_of_each_step() -> None:
    quantiles = normal_quantiles()
    assert quantiles.shape == (FIELD_SIZE,)
    normal = NormalDist()
    for value in (0, 1, 100, 30_000, 32_767, 32_768, 60_000, 65_535):
        assert quantiles[value] == pytest.approx(normal.inv_cdf((value + 0.5) / FIELD_SIZE), rel=1e-9)


def test_normal_quantiles_are_symmetric_and_standard() -> None:
    quantiles = normal_quantiles()
    np.testing.assert_array_equal(quantiles, -quantiles[::-1])
    assert np.all(np.diff(quantiles) > 0)
    assert quantiles.mean() == pytest.approx(0, abs=1e-12)
    assert quantiles.std() == pytest.approx(1, abs=1e-3)


# Fractal


def fractal(height: int, width: int, seed: int = 0) -> np.ndarray:
    return draw_fractal(flat_image(height, width, 0), np.random.default_rng(seed))


@pytest.mark.parametrize("size", [(8, 8), (9, 8), (64, 64), (65, 63), (97, 120), (8, 600), (513, 8), (600, 700)])
def test_a_fractal_field_has_the_size_of_the_image_and_uses_the_range(size: tuple[int, int]) -> None:
    fields = [fractal(*size, seed) for seed in range(8)]
    for field in fields:
        assert field.shape == size
        assert field.dtype == np.uint16
    # A side that is not a power of two is resampled, which shortens the range slightly.
    assert np.mean([field.min() for field in fields]) < 0.1 * FIELD_SIZE
    assert np.mean([field.max() for field in fields]) > 0.9 * FIELD_SIZE


def test_a_fractal_field_spans_the_range_where_it_is_not_resampled() -> None:
    field = fractal(64, 128)
    assert field.min() == 0
    assert field.max() == FIELD_SIZE - 1


def test_a_fractal_field_is_smooth() -> None:
    for seed in range(8):
        field = fractal(128, 96, seed).astype(float)
        steps = [np.abs(np.diff(field, axis=axis)) for axis in (0, 1)]
        assert max(step.mean() for step in steps) < 0.02 * FIELD_SIZE, "independent values differ by a third"
        blocks = field.reshape(16, 8, 12, 8).mean(axis=(1, 3))
        assert blocks.var() > 0.9 * field.var(), "nearly all of it is coarse"


def test_a_fractal_field_has_detail_at_every_octave() -> None:
    """The loss grows by 3 each time the size is halved: octaves are half as strong, smoothed where they are finer."""
    lost = []
    for seed in range(16):
        field, losses = fractal(256, 256, seed) / FIELD_SIZE, []
        for _ in range(5):
            coarse = field.reshape(len(field) // 2, 2, -1, 2).mean(axis=(1, 3))
            losses.append(np.mean((field - coarse.repeat(2, axis=0).repeat(2, axis=1)) ** 2))
            field = coarse
        lost.append(losses)
    growth = np.mean(lost, axis=0)[1:] / np.mean(lost, axis=0)[:-1]
    assert growth.min() > 2.3, "the finest octaves are too strong"
    assert growth.max() < 3.5, "the finest octaves are too weak"


def test_fractal_fields_differ() -> None:
    assert abs(np.corrcoef(fractal(64, 64, 0).ravel(), fractal(64, 64, 1).ravel())[0, 1]) < 0.9
    np.testing.assert_array_equal(fractal(64, 64, 0), fractal(64, 64, 0))


def test_light_and_dark_are_as_likely() -> None:
    means = np.array([fractal(32, 32, seed).mean() / FIELD_SIZE for seed in range(200)])
    assert abs(means.mean() - 0.5) < 3 * means.std() / np.sqrt(len(means))
