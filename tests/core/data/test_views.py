"""Views show an image at native resolution, whatever its size."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from metrifier_core.data.views import central_view, make_views, random_view

sides = st.integers(8, 150)
draws_of_a_view = st.tuples(*[st.floats(0, 1, exclude_max=True)] * 4).map(np.array)


def make_map(height: int, width: int) -> NDArray[np.uint8]:
    """Return an image whose every pixel says where it lies: the low bytes of its row and column, then the high bits."""
    rows, columns = np.indices((height, width))
    return np.stack([rows % 256, columns % 256, rows // 256 * 16 + columns // 256], axis=-1).astype(np.uint8)


def place(view: NDArray[np.uint8]) -> tuple[int, int]:
    """Return the row and column of a map's pixel that a view begins with."""
    row, column, high = (int(value) for value in view[0, 0])
    return high // 16 * 256 + row, high % 16 * 256 + column


def is_crop(view: NDArray[np.uint8], image: NDArray[np.uint8]) -> bool:
    """Whether a view of a map is an exact part of it."""
    row, column = place(view)
    return np.array_equal(view, image[row : row + view.shape[0], column : column + view.shape[1]])


# All views


@given(sides, sides, st.sampled_from([32, 48]))
@example(8, 8, 224)
@example(8, 3000, 224)
@example(3000, 2000, 224)
@settings(deadline=None, max_examples=60)
def test_any_size_has_views(height: int, width: int, size: int) -> None:
    made = make_views(make_map(height, width), size)
    assert 1 <= len(made) <= 10
    assert made.shape[1:] == (size, size, 3)
    assert made.dtype == np.uint8


@pytest.mark.parametrize(
    ("height", "width", "crops", "global_views"),
    [
        (8, 8, 1, 0),
        (32, 32, 1, 0),
        (36, 32, 1, 0),  # 7/8 of 36 are 31.5
        (37, 32, 2, 0),
        (32, 500, 3, 0),
        (8, 500, 3, 0),
        (36, 36, 1, 0),
        (37, 37, 4, 1),
        (64, 65, 6, 1),
        (96, 96, 9, 1),
        (500, 500, 9, 1),
    ],
)
def test_larger_images_have_more_views(height: int, width: int, crops: int, global_views: int) -> None:
    assert len(make_views(make_map(height, width), 32)) == crops + global_views


@pytest.mark.parametrize(("height", "width"), [(37, 40), (96, 64), (100, 500), (3000, 2111)])
def test_crops_are_exact_parts_that_reach_every_edge(height: int, width: int) -> None:
    image = make_map(height, width)
    *crops, whole = make_views(image, 32)
    assert all(is_crop(crop, image) for crop in crops)
    assert not is_crop(whole, image), "the global view is a smaller copy"
    rows, columns = zip(*map(place, crops), strict=True)
    assert (min(rows), max(rows)) == (0, height - 32)
    assert (min(columns), max(columns)) == (0, width - 32)
    assert len(set(zip(rows, columns, strict=True))) == len(crops)


def test_crops_cover_an_image_of_up_to_three_views_a_side() -> None:
    for side in range(37, 97):
        rows = sorted({place(crop)[0] for crop in make_views(make_map(side, side), 32)[:-1]})
        assert np.diff(rows).max() <= 32, side


def test_one_crop_is_the_middle_of_an_image_that_is_hardly_larger() -> None:
    (crop,) = make_views(make_map(36, 35), 32)
    assert place(crop) == (2, 2)


def test_the_global_view_has_the_colours_of_the_whole() -> None:
    image = np.zeros((128, 128, 3), np.uint8)
    image[:, 64:] = [200, 100, 50]
    whole = make_views(image, 32)[-1]
    assert whole[:, :16].max() == 0
    assert np.all(whole[:, 16:] == [200, 100, 50])


def test_the_global_view_is_of_the_middle() -> None:
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 100:200] = 255
    assert make_views(image, 50)[-1].min() == 255


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 31), (31, 200), (20, 32)])
def test_small_images_are_mirrored_at_their_edges(height: int, width: int) -> None:
    image = make_map(height, width)
    down, right = max(0, 32 - height), max(0, 32 - width)
    padding = ((down // 2, down - down // 2), (right // 2, right - right // 2), (0, 0))
    padded = np.pad(image, padding, mode="reflect")
    for view in make_views(image, 32):
        column = (padded == view[:, :1]).all(axis=(0, 2)).nonzero()[0][0]
        np.testing.assert_array_equal(view, padded[:32, column : column + 32])


@pytest.mark.parametrize("shape", [(8, 8), (32, 32), (100, 100)])
def test_views_are_copies(shape: tuple[int, int]) -> None:
    image = make_map(*shape)
    before = image.copy()
    make_views(image, 32)[:] = 0
    np.testing.assert_array_equal(image, before)


# One view


def test_the_central_view_is_the_middle() -> None:
    assert place(central_view(make_map(100, 52), 32)) == (34, 10)
    np.testing.assert_array_equal(central_view(make_map(9, 31), 32), make_views(make_map(9, 31), 32)[0])


@given(sides, sides, draws_of_a_view)
@settings(deadline=None)
def test_a_random_view_is_one_of_the_image(height: int, width: int, draws: NDArray[np.float64]) -> None:
    image = make_map(height, width)
    view = random_view(image, 32, draws, flip=False)
    assert view.shape == (32, 32, 3)
    if min(height, width) >= 32 and not np.array_equal(view, make_views(image, 32)[-1]):
        assert is_crop(view, image)


@given(sides, sides, draws_of_a_view)
@settings(deadline=None)
def test_a_view_is_mirrored_only_if_asked(height: int, width: int, draws: NDArray[np.float64]) -> None:
    image = make_map(height, width)
    plain, flipped = (random_view(image, 32, draws, flip=flip) for flip in (False, True))
    np.testing.assert_array_equal(flipped, plain[:, ::-1] if draws[3] < 0.5 else plain)


def test_random_views_differ_in_kind_place_and_direction() -> None:
    image = make_map(100, 120)
    whole = make_views(image, 32)[-1]
    kinds = {"global": 0, "crop": 0}
    corners = []
    for draws in np.random.default_rng(0).random((2000, 4)):
        view = random_view(image, 32, draws, flip=False)
        if np.array_equal(view, whole):
            kinds["global"] += 1
        else:
            kinds["crop"] += 1
            corners.append(place(view))
    assert kinds["global"] == pytest.approx(500, abs=80), "a quarter"
    rows, columns = zip(*corners, strict=True)
    assert set(rows) == set(range(69)), "every place, the last one too"
    assert set(columns) == set(range(89))
