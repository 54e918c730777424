"""Preprocessing of images for classifiers: crop, resize and scaling."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrifier_core.workers.interface import Geometry
from metrifier_core.workers.preprocessing import centre_crop, prepare, take_square
from tests.helpers.echo_workers import MEAN, STD, make_image, make_interface


def test_centre_crop_cuts_without_resampling_where_it_can() -> None:
    image = make_image(256, 300)
    np.testing.assert_array_equal(centre_crop(image, 224, 0.875), image[16:240, 38:262])


def test_centre_crop_keeps_the_share_that_is_asked_for() -> None:
    """7/8 of 64 pixels are kept: a frame of 4 pixels is just outside, one of 5 is not."""
    image = np.full((64, 64, 3), 255, np.uint8)
    image[4:60, 4:60] = 0
    assert not centre_crop(image, 8, 0.875).any()
    image[4], image[59] = 255, 255
    assert centre_crop(image, 8, 0.875).any(axis=(1, 2)).tolist() == [True, *[False] * 6, True]


@pytest.mark.parametrize(("short", "kept"), [(8, 8), (9, 8), (10, 9)])
def test_small_images_keep_their_whole_centre_square(short: int, kept: int) -> None:
    """8 / 0.875 rounds to 9: from a short side of 9 on the share is cut out, below it nothing is."""
    image = np.zeros((short, 20, 3), np.uint8)
    left, top = (20 - kept) // 2, (short - kept) // 2
    image[top : top + kept, left : left + kept] = 200
    assert (centre_crop(image, 8, 0.875) == 200).all()
    image[top, left : left + kept] = 0
    assert (centre_crop(image, 8, 0.875)[0] < 200).all()


def test_shrinking_averages_areas() -> None:
    """Sampling every fourth pixel would turn a checkerboard black or white."""
    checkerboard = np.indices((32, 32)).sum(axis=0) % 2 * np.uint8(254)
    image = np.repeat(checkerboard[:, :, None], 3, axis=2).astype(np.uint8)
    assert (centre_crop(image, 8, 1.0) == 127).all()


@given(st.integers(8, 80), st.integers(8, 80), st.sampled_from([8, 32, 33]), st.sampled_from([0.5, 0.875, 1.0]))
def test_centre_crop_of_any_image_is_a_square_of_its_own_values(
    height: int, width: int, size: int, fraction: float
) -> None:
    image = make_image(height, width) // 2 + 50
    square = centre_crop(image, size, fraction)
    assert square.shape == (size, size, 3)
    assert square.dtype == np.uint8
    assert image.min() <= square.min() <= square.max() <= image.max()
    assert (centre_crop(np.full_like(image, 77), size, fraction) == 77).all()


@given(
    st.integers(8, 80),
    st.integers(8, 80),
    st.builds(
        Geometry, st.integers(8, 64), st.sampled_from(["crop", "stretch"]), st.floats(0.1, 1.0, exclude_min=True)
    ),
)
def test_the_square_of_a_square_is_itself(height: int, width: int, geometry: Geometry) -> None:
    """Workers share squares, which relies on this."""
    square = take_square(make_image(height, width), geometry)
    np.testing.assert_array_equal(take_square(square, geometry), square)


def test_an_image_is_cropped_unless_it_is_to_be_stretched() -> None:
    """In an image twice as wide as high, a crop never sees the white outer quarters; a stretched image keeps them."""
    image = np.full((16, 32, 3), 250, np.uint8)
    image[:, 8:24] = 10
    assert (prepare(image, make_interface(crop_fraction=1.0)) == 10).all()
    stretched = prepare(image, make_interface(resize="stretch"))
    assert stretched[:, :, 0].tolist() == [[250, 250, 10, 10, 10, 10, 250, 250]] * 8


@pytest.mark.parametrize(("height", "width"), [(8, 8), (5, 7), (40, 24), (9, 90)])
def test_a_stretched_image_keeps_its_corners(height: int, width: int) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = 200
    stretched = prepare(image, make_interface(resize="stretch"))
    assert stretched.shape == (8, 8, 3)
    assert [int(stretched[row, column, 0]) for row in (0, -1) for column in (0, -1)] == [200, 0, 0, 0]


@pytest.mark.parametrize(
    ("scale", "mean", "std", "expected"),
    [
        (1 / 255, MEAN, STD, [(0 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]),
        (2 / 255, (1, 1, 1), (1, 1, 1), [-1, 1 / 255, 1]),
        (1, (123, 117, 104), (1, 1, 1), [-123, 11, 151]),
    ],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float16", 1e-3)])
def test_pixels_are_scaled_as_their_interface_says(
    scale: float, mean: Sequence[float], std: Sequence[float], expected: list[float], dtype: str, tolerance: float
) -> None:
    image = np.tile(np.array([0, 128, 255], np.uint8), (8, 8, 1))
    for channels in ("RGB", "BGR"):
        prepared = prepare(image, make_interface(scale=scale, mean=mean, std=std, dtype=dtype, channels=channels))
        shown = expected if channels == "RGB" else expected[::-1]
        np.testing.assert_allclose(prepared, np.tile(shown, (8, 8, 1)), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("dtype", "mean"), [("float32", 0.0), ("float16", 0.0), ("uint8", 0.0), ("int8", 128.0)])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_what_is_prepared_has_the_type_and_the_layout_of_its_interface(dtype: str, mean: float, layout: str) -> None:
    image = make_image()
    prepared = prepare(image, make_interface(dtype=dtype, layout=layout, mean=[mean] * 3))
    assert prepared.dtype == dtype
    assert prepared.flags.c_contiguous
    expected = image.astype(int) - int(mean)
    np.testing.assert_array_equal(prepared, expected if layout == "NHWC" else expected.transpose(2, 0, 1))


def test_integers_are_rounded_and_not_cut() -> None:
    image = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    prepared = prepare(image, make_interface(dtype="uint8", scale=0.75))
    np.testing.assert_array_equal(prepared, np.rint(image * 0.75))
    shifted = prepare(image, make_interface(dtype="int8", scale=0.625, mean=(90, 100, 110)))
    np.testing.assert_array_equal(shifted, np.rint(image * 0.625 - np.array([90, 100, 110])))


def test_a_side_that_shrinks_is_averaged_beside_one_that_does_not() -> None:
    image = np.zeros((8, 512, 3), np.uint8)
    image[:, 28:32] = 255
    stretched = prepare(image, make_interface(resize="stretch"))
    assert int(stretched[0, 0, 0]) == round(255 * 4 / 64)
