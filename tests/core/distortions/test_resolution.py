"""Reduced resolution against direct sums over pixels."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.example_images import Image, distort_to, drawn_image, flat_image, natural_image, noise_image


def blocks_of(side: int, scale: float) -> NDArray[np.intp]:
    """Return the block that contains the centre of each pixel."""
    count = max(1, round(side * scale))
    return np.floor((np.arange(side) + 0.5) * count / side).astype(np.intp)


def block_means(image: Image, scale: float) -> NDArray[np.float64]:
    rows, columns = (blocks_of(side, scale) for side in image.shape[:2])
    expected = np.empty(image.shape)
    for row in np.unique(rows):
        for column in np.unique(columns):
            block = np.ix_(rows == row, columns == column)
            expected[block] = image[block].mean(axis=(0, 1))
    return expected


@pytest.mark.parametrize("scale", [0.9, 0.6, 0.45, 0.25, 0.1, 0.01])
@pytest.mark.parametrize("size", [(48, 64), (37, 53), (8, 70)])
def test_every_pixel_of_a_block_is_the_mean_of_its_own_pixels(scale: float, size: tuple[int, int]) -> None:
    image = noise_image(0, *size)
    assert np.abs(distort_to(image, "pixelate", scale) - block_means(image, scale)).max() <= 0.5


def test_blocks_of_four_are_averaged() -> None:
    image = np.ascontiguousarray(drawn_image()[:40, :40])
    expected = image.reshape(20, 2, 20, 2, 3).mean(axis=(1, 3)).repeat(2, axis=0).repeat(2, axis=1)
    assert np.abs(distort_to(image, "pixelate", 0.5) - expected).max() <= 0.5


def test_pixelate_keeps_a_large_white_image_white() -> None:
    """The sums of its channels overflow 32 bits."""
    white = flat_image(3000, 3000, 255)
    assert white[:, :, 0].size * 255 > 2**31
    assert distort_to(white, "pixelate", 0.0123).min() == 255


# Bicubic


def keys(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cubic kernel of Keys (1981), a = -1/2."""
    near, far = distance < 1, (distance >= 1) & (distance < 2)
    return (
        near * (1.5 * distance**3 - 2.5 * distance**2 + 1)
        + far * (-0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2)
    )  # fmt: skip


def resampling(before: int, after: int) -> NDArray[np.float64]:
    """Return the weight of each input pixel in each output pixel; shrinking stretches the kernel."""
    stretch = max(before / after, 1)
    centres = (np.arange(after) + 0.5) * before / after
    weights = keys(np.abs(np.arange(before) + 0.5 - centres[:, None]) / stretch)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("scale", [0.9, 0.5, 0.3, 0.1, 0.02])
@pytest.mark.parametrize("size", [(97, 120), (64, 41)])
def test_bicubic_downscale_shrinks_and_enlarges(scale: float, size: tuple[int, int]) -> None:
    image = (natural_image(0, *size) // 2 + 64).astype(np.uint8)  # so that nothing is clipped on the way
    down, across = (
        resampling(small, side) @ resampling(side, small)
        for side, small in ((side, max(1, round(side * scale))) for side in size)
    )
    expected = np.einsum("ij,jkc,lk->ilc", down, image, across, optimize=True)
    error = distort_to(image, "bicubic_downscale", scale) - expected
    assert np.abs(error).max() < 2.5, "rounded four times on the way"
    assert error.std() < 0.7
