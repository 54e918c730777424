"""BRISQUE features: fits that find the parameters of known distributions, and images of known statistics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gamma as gamma_distribution
from scipy.stats import gennorm
from sklearn.datasets import load_sample_image

from metrifier_core.distortions import apply_distortion
from metrifier_core.statistics import BrisqueTrees, brisque_features
from metrifier_core.statistics.brisque import fit_asymmetric_gaussian, fit_generalised_gaussian


@pytest.fixture(scope="module")
def photograph():
    return np.ascontiguousarray(load_sample_image("china.jpg")[100:324, 200:424])


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0, 4.0])
def test_the_fit_finds_a_generalised_gaussian(shape):
    values = gennorm(shape, scale=1.7).rvs(200_000, random_state=np.random.default_rng(0))
    found, variance = fit_generalised_gaussian(values)
    assert found == pytest.approx(shape, rel=0.02)
    assert variance == pytest.approx(gennorm(shape, scale=1.7).var(), rel=0.03)


@pytest.mark.parametrize(("shape", "left", "right"), [(0.8, 1.0, 1.0), (2.0, 0.5, 2.0), (1.0, 3.0, 0.4)])
def test_the_fit_finds_an_asymmetric_gaussian(shape, left, right):
    # |x / scale| ** shape is gamma distributed on either side, and a side is drawn as often as its scale is large.
    rng = np.random.default_rng(1)
    magnitude = gamma_distribution(1 / shape).rvs(400_000, random_state=rng) ** (1 / shape)
    is_left = rng.random(magnitude.size) < left / (left + right)
    values = np.where(is_left, -left * magnitude, right * magnitude)
    found, mean, variance_left, variance_right = fit_asymmetric_gaussian(values)
    assert found == pytest.approx(shape, rel=0.03)
    assert mean == pytest.approx(values.mean(), abs=0.03)
    assert variance_left == pytest.approx(np.square(values[is_left]).mean())
    assert variance_right == pytest.approx(np.square(values[~is_left]).mean())


def test_a_side_without_values_has_no_variance():
    values = gennorm(1.0).rvs(100_000, random_state=np.random.default_rng(2))
    shape, mean, left, right = fit_asymmetric_gaussian(np.abs(values))
    assert shape == pytest.approx(1.0, rel=0.03)
    assert (mean, left) == (pytest.approx(1.0, rel=0.03), 0.0)
    assert right == pytest.approx(2.0, rel=0.05)
    assert fit_asymmetric_gaussian(-np.abs(values)) == pytest.approx((shape, -mean, right, left))


def test_coefficients_of_one_pixel_by_hand():
    """A white pixel on black: its coefficient, and those around it, from the window's own weights."""
    image = np.zeros((15, 15, 3), np.uint8)
    image[7, 7] = 200
    line = np.exp(-np.square(np.arange(-3, 4)) / (2 * (7 / 6) ** 2))
    window = np.outer(line, line) / line.sum() ** 2
    grey = image[..., 0].astype(np.float64)
    mean, square = np.zeros((2, 15, 15))
    mean[4:11, 4:11], square[4:11, 4:11] = window * 200, window * 200**2
    coefficients = (grey - mean) / (np.sqrt(square - mean**2) + 1)
    features = brisque_features(image)
    assert features[:2] == pytest.approx(fit_generalised_gaussian(coefficients), rel=1e-3)
    products = [
        coefficients[:, :-1] * coefficients[:, 1:],
        coefficients[:-1] * coefficients[1:],
        coefficients[:-1, :-1] * coefficients[1:, 1:],
        coefficients[:-1, 1:] * coefficients[1:, :-1],
    ]
    expected = [value for product in products for value in fit_asymmetric_gaussian(product)]
    assert features[2:18] == pytest.approx(expected, rel=2e-3, abs=1e-6)


def test_the_second_scale_is_the_first_of_the_halved_image(photograph):
    doubled = np.repeat(np.repeat(photograph, 2, axis=0), 2, axis=1)
    assert brisque_features(doubled)[18:] == pytest.approx(brisque_features(photograph)[:18], rel=1e-5)


def test_natural_images_are_near_gaussian_noise_flattens_and_blur_peaks(photograph):
    rng = np.random.default_rng(0)
    noisy = apply_distortion(photograph, "gaussian_noise", 5, rng)
    blurred = apply_distortion(photograph, "gaussian_blur", 3, rng)
    natural, of_noise, of_blur = (brisque_features(image) for image in (photograph, noisy, blurred))
    assert of_noise[0] > natural[0], "noise makes the coefficients Gaussian"
    assert of_blur[1] < natural[1], "blur leaves less contrast"
    alike_in_noise, alike_in_blur = (features[3] / features[1] for features in (of_noise, of_blur))
    assert alike_in_noise < 0.2, "neighbours in noise are independent"
    assert alike_in_blur > 0.5, "neighbours in blur are alike"


def test_a_flat_image_has_the_features_of_nothing():
    flat = brisque_features(np.full((20, 20, 3), 137, np.uint8))
    assert flat.tolist() == [10, 0, *[10, 0, 0, 0] * 4] * 2


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_any_size_has_finite_features(height, width, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    features = brisque_features(image)
    assert features.shape == (36,)
    assert np.isfinite(features).all()


def test_brightness_alone_changes_nothing(photograph):
    darker = photograph // 2
    assert brisque_features(darker + np.uint8(90)) == pytest.approx(brisque_features(darker))


def test_the_trees_learn_noise_and_are_the_same_for_one_seed_and_any_number_of_threads(photograph):
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(3)
    sigmas = np.linspace(0, 60, 120)
    images = [np.clip(photograph[:48, :48] + rng.normal(0, sigma, (48, 48, 3)), 0, 255) for sigma in sigmas]
    features = np.array([brisque_features(image.astype(np.uint8)) for image in images])
    quality = 1 - sigmas / 60
    learned, asked = slice(0, None, 2), slice(1, None, 2)
    predictions = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            predictions.append(BrisqueTrees(features[learned], quality[learned], seed=0).predict(features[asked]))
    assert np.corrcoef(predictions[0], quality[asked])[0, 1] > 0.95
    np.testing.assert_array_equal(*predictions)


def test_trees_without_training_versions_are_refused():
    with pytest.raises(ValueError, match="no training versions"):
        BrisqueTrees(np.empty((0, 36)), np.empty(0), seed=0)


def test_trees_show_how_many_they_are():
    assert repr(BrisqueTrees(np.zeros((30, 36)), np.zeros(30), seed=0)) == "BrisqueTrees(100 trees)"
