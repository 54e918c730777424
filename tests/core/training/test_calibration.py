"""Calibration: a known one is recovered, ranks never change, and it becomes part of the network's weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from metrifier_core.training.calibration import Calibration, calibrate_network, fit_calibration
from metrifier_core.training.scoring import ScoredSplit

SCORES = np.random.default_rng(0).uniform(0.02, 0.98, 400)


@given(st.floats(0.2, 4), st.floats(0.2, 4), st.floats(-2, 2))
def test_a_known_line_is_found_again(below: float, above: float, intercept: float) -> None:
    known = Calibration(below, above, intercept)
    found = fit_calibration(ScoredSplit(SCORES, expit(known.apply(logit(SCORES)))))
    assert found == pytest.approx(known, rel=2e-2, abs=2e-2)


def test_the_line_is_that_of_the_mean_over_the_views_of_an_image() -> None:
    known = Calibration(0.6, 1.8, -0.3)
    version = np.repeat(np.arange(200), 2)
    quality = np.bincount(version, expit(known.apply(logit(SCORES)))) / 2
    assert fit_calibration(ScoredSplit(SCORES, quality, version)) == pytest.approx(known, rel=2e-2, abs=2e-2)
    of_the_mean = fit_calibration(ScoredSplit(np.bincount(version, SCORES) / 2, quality))
    assert of_the_mean.above > 1.2 * known.above or of_the_mean.below > 1.2 * known.below


def test_a_line_by_hand() -> None:
    calibrated = Calibration(below=2, above=0.5, intercept=1).apply(np.array([-3.0, 0.0, 4.0]))
    assert calibrated.tolist() == [-5, 1, 3]


def test_scores_that_mean_the_opposite_keep_their_order() -> None:
    found = fit_calibration(ScoredSplit(SCORES, 1 - SCORES))
    assert found.below > 0
    assert found.above > 0


def test_after_it_the_mean_score_is_the_mean_quality() -> None:
    quality = np.random.default_rng(1).uniform(0, 1, 400) * SCORES
    found = fit_calibration(ScoredSplit(SCORES, quality))
    assert expit(found.apply(logit(SCORES))).mean() == pytest.approx(quality.mean(), abs=1e-4)


def test_the_network_has_the_line_in_its_weights() -> None:
    from metrifier_core.architectures import create_network

    network = create_network("nano")
    images = np.random.default_rng(2).integers(0, 256, (5, 40, 40, 3), dtype=np.uint8)
    before = network(images).numpy().astype(np.float64)
    calibration = Calibration(1.7, 0.6, -0.4)
    calibrate_network(network, calibration)
    np.testing.assert_allclose(network(images).numpy(), expit(calibration.apply(logit(before))), atol=1e-6)


def test_a_network_that_is_not_calibrated_scores_what_it_has_learnt() -> None:
    import keras

    from metrifier_core.architectures import create_network
    from metrifier_core.architectures.head import SCORE_LOGIT

    network = create_network("nano")
    images = np.random.default_rng(3).integers(0, 256, (5, 40, 40, 3), dtype=np.uint8)
    learnt = keras.Model(network.input, keras.ops.sigmoid(network.get_layer(SCORE_LOGIT).output))
    np.testing.assert_array_equal(network(images).numpy(), learnt(images).numpy())
