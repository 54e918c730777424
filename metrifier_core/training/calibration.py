"""Calibration of scores: where they are 0.7, the label workers' mean true-class probability averages 0.7."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from metrifier_core.architectures.head import CALIBRATION
from metrifier_core.training.scoring import ScoredSplit

_MIN_SCORE = 1e-6
_MAX_SLOPE = 20.0  # the minimum is its inverse; beyond these, float32 scores coincide


class Calibration(NamedTuple):
    """A line with a bend at logit 0; positive slopes keep the ranks."""

    below: float
    above: float
    intercept: float

    def apply(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrate logits of scores."""
        return self.above * np.maximum(logits, 0) - self.below * np.maximum(-logits, 0) + self.intercept


def fit_calibration(scored: ScoredSplit) -> Calibration:
    """Fit the calibration of views' logits under which the qualities are most likely.

    Sources: Platt 1999, "Probabilistic outputs for support vector machines", for the line; Kull, Silva Filho, Flach
    2017, "Beta calibration", for different slopes of low and high scores: theirs bends smoothly between them.

    Args:
        scored: Scores of all views of the calibration versions, and their quality as soft labels.
    """
    logits = logit(np.clip(scored.views, _MIN_SCORE, 1 - _MIN_SCORE))

    def read(parameters: NDArray[np.float64]) -> Calibration:
        log_below, log_above, intercept = parameters
        return Calibration(float(np.exp(log_below)), float(np.exp(log_above)), float(intercept))

    def cross_entropy(parameters: NDArray[np.float64]) -> float:
        return scored._replace(views=expit(read(parameters).apply(logits))).cross_entropy

    slopes = (-np.log(_MAX_SLOPE), np.log(_MAX_SLOPE))
    return read(minimize(cross_entropy, np.zeros(3), method="L-BFGS-B", bounds=[slopes, slopes, (None, None)]).x)


def calibrate_network(network: Any, calibration: Calibration) -> None:
    """Write a calibration into the weights of a network, in place, so that every export has it."""
    kernel = np.array([[calibration.above], [-calibration.below]], np.float32)
    network.get_layer(CALIBRATION).set_weights([kernel, np.array([calibration.intercept], np.float32)])
