"""A score that means what it says: 0.7 where the label workers' mean true-class probability is 0.7 on average."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logit

from metrifier_core.architectures.head import SCORE_LOGIT
from metrifier_core.training.scoring import ScoredSplit

__all__ = ["Platt", "calibrate_network", "fit_platt"]

_LEAST = 1e-6


class Platt(NamedTuple):
    """slope * logit + intercept; the slope is positive, so that ranks stay as they are."""

    slope: float
    intercept: float


def fit_platt(scored: ScoredSplit) -> Platt:
    """Finds the line through the logits under which the qualities are most likely.

    Args:
        scored: Scores of calibration versions, and their quality as soft labels.

    Returns:
        The line. Source: Platt 1999, "Probabilistic outputs for support vector machines".
    """
    logits = logit(np.clip(scored.scores, _LEAST, 1 - _LEAST))

    def cross_entropy(parameters: NDArray[np.float64]) -> float:
        log_slope, intercept = parameters
        shifted = np.exp(log_slope) * logits + intercept
        return float(np.mean(np.logaddexp(0, shifted) - scored.quality * shifted))

    found = minimize(cross_entropy, np.zeros(2), method="BFGS")
    return Platt(float(np.exp(found.x[0])), float(found.x[1]))


def calibrate_network(network: Any, platt: Platt) -> None:
    """Multiplies a line into the last layer of a network, in place: every export has it."""
    layer = network.get_layer(SCORE_LOGIT)
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel * np.float32(platt.slope), bias * np.float32(platt.slope) + np.float32(platt.intercept)])
