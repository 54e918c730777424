"""PSNR by hand, SSIM beside scikit-image's."""

import cv2
import numpy as np
import pytest
import skimage.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_sample_image

from metrifier_core.distortions import apply_distortion
from metrifier_core.statistics import peak_signal_to_noise, structural_similarity


@pytest.fixture(scope="module")
def photograph():
    return np.ascontiguousarray(load_sample_image("flower.jpg")[100:260, 200:391])


def test_psnr_by_hand():
    reference = np.full((10, 10, 3), 100, np.uint8)
    image = reference.copy()
    assert peak_signal_to_noise(image, reference) == 100
    image[0, 0, 0] = 90
    # A mean squared difference of 100 / 300.
    assert peak_signal_to_noise(image, reference) == pytest.approx(10 * np.log10(255**2 * 3))
    assert peak_signal_to_noise(np.zeros_like(image), np.full_like(image, 255)) == 0


def test_psnr_is_scikit_images(photograph):
    noisy = apply_distortion(photograph, "gaussian_noise", 3, np.random.default_rng(0))
    assert peak_signal_to_noise(noisy, photograph) == pytest.approx(
        skimage.metrics.peak_signal_noise_ratio(photograph, noisy)
    )


def test_the_cap_is_above_every_small_image_that_differs():
    reference = np.zeros((224, 224, 3), np.uint8)
    image = reference.copy()
    image[3, 5, 1] = 1
    assert 99 < peak_signal_to_noise(image, reference) < 100


@pytest.mark.parametrize("distortion", ["gaussian_noise", "gaussian_blur", "jpeg", "contrast", "fog"])
@pytest.mark.parametrize("severity", [1, 5])
def test_ssim_is_scikit_images(photograph, distortion, severity):
    image = apply_distortion(photograph, distortion, severity, np.random.default_rng(0))
    grey = [cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) for pixels in (image, photograph)]
    expected = skimage.metrics.structural_similarity(
        *grey, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert structural_similarity(image, photograph) == pytest.approx(expected, abs=1e-5)


@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_any_size_is_exactly_like_itself(height, width, seed):
    rng = np.random.default_rng(seed)
    image, other = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    assert structural_similarity(image, image.copy()) == 1.0
    assert -1 <= structural_similarity(image, other) <= 1
    assert structural_similarity(image, other) == structural_similarity(other, image)
    assert peak_signal_to_noise(image, image.copy()) == 100


def test_small_images_are_compared_over_all_their_pixels():
    # Flat images have no covariance: what is left is the comparison of their means.
    first, second = np.full((8, 8, 3), 50, np.uint8), np.full((8, 8, 3), 150, np.uint8)
    constant = 2.55**2
    expected = (2 * 50 * 150 + constant) / (50**2 + 150**2 + constant)
    assert structural_similarity(first, second) == pytest.approx(expected, abs=1e-4)


def test_shapes_that_differ_are_refused():
    for compare in (peak_signal_to_noise, structural_similarity):
        with pytest.raises(ValueError, match=r"expected two images of one shape, got \(8, 9, 3\) and \(9, 8, 3\)"):
            compare(np.zeros((8, 9, 3), np.uint8), np.zeros((9, 8, 3), np.uint8))
