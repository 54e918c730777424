"""Platt's line: found again where it is known, never changing the order, and put into the network's own weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from metrifier_core.training.calibration import Platt, calibrate_network, fit_platt
from metrifier_core.training.scoring import ScoredSplit

SCORES = np.random.default_rng(0).uniform(0.02, 0.98, 400)


@given(st.floats(0.2, 4), st.floats(-2, 2))
def test_a_known_line_is_found_again(slope: float, intercept: float) -> None:
    found = fit_platt(ScoredSplit(SCORES, expit(slope * logit(SCORES) + intercept)))
    assert found.slope == pytest.approx(slope, rel=1e-2)
    assert found.intercept == pytest.approx(intercept, abs=1e-2)


def test_scores_that_mean_the_opposite_keep_their_order() -> None:
    assert fit_platt(ScoredSplit(SCORES, 1 - SCORES)).slope > 0


def test_after_it_the_mean_score_is_the_mean_quality() -> None:
    quality = np.random.default_rng(1).uniform(0, 1, 400) * SCORES
    found = fit_platt(ScoredSplit(SCORES, quality))
    assert expit(found.slope * logit(SCORES) + found.intercept).mean() == pytest.approx(quality.mean(), abs=1e-4)


def test_the_network_has_the_line_in_its_weights() -> None:
    from metrifier_core.architectures import create_network

    network = create_network("nano")
    images = np.random.default_rng(2).integers(0, 256, (5, 40, 40, 3), dtype=np.uint8)
    before = network(images).numpy().astype(np.float64)
    calibrate_network(network, Platt(1.7, -0.4))
    np.testing.assert_allclose(network(images).numpy(), expit(1.7 * logit(before) - 0.4), atol=1e-6)
