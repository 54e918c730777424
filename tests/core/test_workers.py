"""Workers: what an image becomes before a classifier sees it, what its outputs mean, and whose weights they are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper
from pydantic import TypeAdapter, ValidationError

from metrifier_core.images import read_image
from metrifier_core.quality import judge
from metrifier_core.sources import ManifestSource, list_items
from metrifier_core.workers import (
    MINIATURES,
    ExportedSpec,
    WorkerCard,
    WorkerSettings,
    WorkerSpec,
    file_sha256,
    load_weights_file,
    load_worker,
    read_cards,
)
from metrifier_core.workers.catalogue import ModelInterface
from metrifier_core.workers.exported import OnnxWorker
from metrifier_core.workers.preprocessing import centre_crop, normalise
from metrifier_core.yaml import read_yaml
from tests.core.tiny_models import FLOAT, FLOAT16, write_onnx

REPOSITORY = Path(__file__).parents[2]
REAL_DATA = REPOSITORY.parent / "shared" / "realdata"
REAL_CATALOGUE = REPOSITORY / "tests" / "realdata" / "workers.yaml"

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def make_image(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# Preprocessing


def test_centre_crop_cuts_without_resampling_where_it_can() -> None:
    image = make_image(256, 300)
    np.testing.assert_array_equal(centre_crop(image, 224, 0.875), image[16:240, 38:262])


def test_centre_crop_keeps_the_share_that_is_asked_for() -> None:
    """Of 64 pixels 7/8 are kept: a frame of 4 pixels is just outside, one of 5 is not."""
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
    """Whoever samples every fourth pixel sees a checkerboard as black or white."""
    checkerboard = np.indices((32, 32)).sum(axis=0) % 2 * np.uint8(254)
    image = np.repeat(checkerboard[:, :, None], 3, axis=2).astype(np.uint8)
    assert (centre_crop(image, 8, 1.0) == 127).all()


@given(st.integers(8, 80), st.integers(8, 80), st.sampled_from([8, 32, 33]), st.sampled_from([0.5, 0.875, 1.0]))
def test_centre_crop_of_any_image_is_a_square_of_its_own_values(
    height: int, width: int, size: int, fraction: float
) -> None:
    image = make_image(height, width) // 2 + 50
    square = centre_crop(image, size, fraction)
    assert (square.shape, square.dtype) == ((size, size, 3), np.uint8)
    assert image.min() <= square.min() <= square.max() <= image.max()
    upside_down = centre_crop(np.full_like(image, 77), size, fraction)
    assert (upside_down == 77).all()


def test_normalise_known_pixels() -> None:
    pixels = np.array([[[0, 128, 255]]], np.uint8)
    expected = [(0 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    result = normalise(pixels, 1 / 255, MEAN, STD)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, [[expected]], rtol=1e-5)
    np.testing.assert_allclose(normalise(pixels, 2 / 255, (1, 1, 1), (1, 1, 1)), [[[-1, 1 / 255, 1]]], atol=1e-6)
    np.testing.assert_allclose(normalise(pixels, 1, (123, 117, 104), (1, 1, 1)), [[[-123, 11, 151]]])
