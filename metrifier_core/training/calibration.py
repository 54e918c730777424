"""A score that means what it says: 0.7 where the label workers' mean true-class probability is 0.7 on average."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from metrifier_core.architectures.head import CALIBRATION
from metrifier_core.training.scoring import ScoredSplit

_MIN_SCORE = 1e-6
_STEEPEST = 20.0  # and as flat as its inverse: beyond, scores in float32 would be alike


class Calibration(NamedTuple):
    """A line with a bend at logit 0; both slopes are positive, so that ranks stay as they are."""

    below: float
    above: float
    intercept: float

    def apply(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turns logits of scores into calibrated ones, of the same shape."""
        return self.above * np.maximum(logits, 0) - self.below * np.maximum(-logits, 0) + self.intercept


def fit_calibration(scored: ScoredSplit) -> Calibration:
    """Finds the bent line through the logits of views under which the qualities are most likely.

    Args:
        scored: Scores of all views of the calibration versions, and their quality as soft labels.

    Returns:
        The line. Sources: Platt 1999, "Probabilistic outputs for support vector machines", for the line; Kull, Silva
        Filho, Flach 2017, "Beta calibration", for why low scores may be wrong in another way than high ones: theirs
        bends smoothly, with the same slopes far from the middle.
    """
    logits = logit(np.clip(scored.views, _MIN_SCORE, 1 - _MIN_SCORE))

    def read(parameters: NDArray[np.float64]) -> Calibration:
        log_below, log_above, intercept = parameters
        return Calibration(float(np.exp(log_below)), float(np.exp(log_above)), float(intercept))

    def cross_entropy(parameters: NDArray[np.float64]) -> float:
        return scored._replace(views=expit(read(parameters).apply(logits))).cross_entropy

    slopes = (-np.log(_STEEPEST), np.log(_STEEPEST))
    return read(minimize(cross_entropy, np.zeros(3), method="L-BFGS-B", bounds=[slopes, slopes, (None, None)]).x)


def calibrate_network(network: Any, calibration: Calibration) -> None:
    """Puts a calibration into the weights of a network, in place: every export has it."""
    kernel = np.array([[calibration.above], [-calibration.below]], np.float32)
    network.get_layer(CALIBRATION).set_weights([kernel, np.array([calibration.intercept], np.float32)])
