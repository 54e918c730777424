"""Explanations: the values of both maps, and the number of views that they take."""

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from metrifier_core import ImageError, Metrifier
from metrifier_core.data.views import make_views
from metrifier_core.images import MIN_SIDE, encode_png
from metrifier_core.scoring.explanation import PARTS, explain_image, grid_cells, without_detail
from tests.helpers.example_images import natural_image, noise_image
from tests.helpers.tiny_models import write_brightness_metrifier

CROP = 32
SHAPES = [(8, 8), (32, 32), (40, 300), (70, 90), (97, 61), (250, 400)]


def detail(shown: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Score by detail only: the mean difference between neighbouring pixels."""
    steps = np.abs(np.diff(shown.astype(np.float64), axis=2))
    return np.asarray(steps.mean(axis=(1, 2, 3)) / 255)


@pytest.fixture(scope="module")
def metrifier(tmp_path_factory: pytest.TempPathFactory) -> Metrifier:
    return Metrifier(write_brightness_metrifier(tmp_path_factory.mktemp("run") / "model", CROP))


@given(height=st.integers(MIN_SIDE, 2000), width=st.integers(MIN_SIDE, 2000))
def test_parts_cover_an_image_once_and_are_images_themselves(height: int, width: int) -> None:
    rows = grid_cells(height, width)
    covered = np.zeros((height, width), np.uint8)
    for row in rows:
        for part in row:
            covered[part] += 1
            assert min(covered[part].shape) >= MIN_SIDE
    assert (covered == 1).all()
    assert max(len(rows), len(rows[0])) <= PARTS
    assert max(len(rows), len(rows[0])) == PARTS or max(height, width) < PARTS * MIN_SIDE


@pytest.mark.parametrize("shape", SHAPES)
def test_a_part_has_the_score_of_an_image_of_its_own(metrifier: Metrifier, shape: tuple[int, int]) -> None:
    image = natural_image(1, *shape)
    found = metrifier.explain(image)
    expected = [[metrifier(np.ascontiguousarray(image[part])) for part in row] for row in grid_cells(*shape)]
    np.testing.assert_array_equal(found.parts, np.array(expected, np.float32))
    assert found.parts.dtype == found.occlusion.dtype == np.float32
    assert found.quality == metrifier(image)


@pytest.mark.parametrize("shape", SHAPES)
def test_occlusion_is_what_the_whole_image_loses(shape: tuple[int, int]) -> None:
    """Views that do not show the part are not scored again, and the result is the same."""
    image = noise_image(2, *shape)
    rows = grid_cells(*shape)
    blurred = without_detail(image, len(rows), len(rows[0]))
    expected = np.zeros((len(rows), len(rows[0])))
    for place in np.ndindex(expected.shape):
        part = rows[place[0]][place[1]]
        without = image.copy()
        without[part] = blurred[part]
        expected[place] = detail(make_views(image, CROP)).mean() - detail(make_views(without, CROP)).mean()
    np.testing.assert_allclose(explain_image(image, CROP, detail).occlusion, expected, atol=1e-6)


def test_the_part_that_the_score_rests_on_stands_out() -> None:
    image = np.full((60, 60, 3), 127, np.uint8)
    image[20:30, 40:50] = np.indices((10, 10)).sum(axis=0)[..., None] % 2 * 254
    found = explain_image(image, CROP, detail)
    assert np.argwhere(found.occlusion).tolist() == np.argwhere(found.parts).tolist() == [[2, 4]]
    assert found.occlusion[2, 4] == pytest.approx(found.quality)


def test_what_no_view_shows_has_no_part_in_the_score() -> None:
    """A wide image is scored by three crops and its shrunk middle."""
    found = explain_image(noise_image(3, 60, 1200), CROP, detail)
    assert found.occlusion.shape == (1, PARTS)
    assert (found.occlusion[0] != 0).tolist() == [True, False, True, True, False, True]
    assert (found.parts > 0).all()


@settings(max_examples=50)
@given(height=st.integers(MIN_SIDE, 600), width=st.integers(MIN_SIDE, 600))
def test_no_image_takes_more_than_500_views(height: int, width: int) -> None:
    lock, counted = threading.Lock(), [0]

    def score(shown: NDArray[np.uint8]) -> NDArray[np.float64]:
        with lock:
            counted[0] += len(shown)
        return np.zeros(len(shown))

    explain_image(noise_image(4, height, width), 16, score)
    assert counted[0] <= 500


def test_the_image_is_left_as_it_was_and_explained_alike(metrifier: Metrifier, tmp_path: Path) -> None:
    image = natural_image(5)
    assert not image.flags.writeable
    file = tmp_path / "image.png"
    file.write_bytes(encode_png(image))
    first, second = metrifier.explain(image), metrifier.explain(file)
    np.testing.assert_array_equal(first.parts, second.parts)
    np.testing.assert_array_equal(first.occlusion, second.occlusion)
    assert np.ptp(first.parts) > 0.05, "a map without a difference proves nothing"


def test_what_is_no_image_is_an_image_error(metrifier: Metrifier, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="expected a uint8 array"):
        metrifier.explain(np.zeros((16, 16), np.uint8))
    with pytest.raises(ImageError, match="cannot be read"):
        metrifier.explain(tmp_path / "missing.png")
