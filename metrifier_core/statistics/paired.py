"""Which of two predictors is better, on the same versions and the same draws."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrifier_core.statistics.bootstrap import Estimate, draw_copies, estimate
from metrifier_core.statistics.calibration import error_of, reliability_statistic
from metrifier_core.statistics.failure_detection import detection_statistic, mean_over_workers
from metrifier_core.statistics.spearman import LEVELS, rank_statistic

PAIRED: tuple[str, ...] = (*LEVELS, "auroc", "augrc", "calibration_error")
"""What two predictors are compared by; of the last two, less is better."""

_LESS_IS_BETTER = {"augrc", "calibration_error"}


@dataclass(frozen=True)
class PairedDifference:
    """A statistic of two predictors on the same rows.

    Attributes:
        first: Of the first predictor; None where it is undefined.
        second: Of the second.
        difference: First minus second, with its 95 % interval.
        better: "first" or "second" where the interval leaves out 0, else None.
    """

    first: float | None
    second: float | None
    difference: Estimate
    better: str | None


def paired_differences(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    tcp: NDArray[np.float64],
    right: NDArray[np.bool_],
    quality: NDArray[np.float64],
    image_id: NDArray[np.generic],
    condition: NDArray[np.generic],
    replicates: int,
    seed: int,
) -> dict[str, PairedDifference]:
    """Compares two predictors by a paired bootstrap over source images.

    Each draw judges both, so that what it makes hard or easy for both cancels out: the interval of the difference is
    narrower than two intervals side by side suggest. Source: Efron and Tibshirani, "An Introduction to the Bootstrap",
    1993, chapter 13, for the percentile interval, here of a difference; `draw_copies` for the draws.

    Args:
        first: Predicted quality in [0, 1], (N,).
        second: The same of the other predictor, (N,).
        tcp: True-class probabilities of W held-out workers, (W, N).
        right: Whether they are right, (W, N).
        quality: True quality in [0, 1], (N,).
        image_id: Source image of each version, (N,).
        condition: Distortion and severity of each version as one string, (N,).
        replicates: Number of bootstrap replicates, at least 1.
        seed: Of the bootstrap.

    Returns:
        A difference a name in `PAIRED`: correlations with the workers' mean true-class probability, AUROC and AUGRC
        averaged over the workers, and the calibration error.
    """
    both = [first, second]
    ranks = rank_statistic(both, [tcp.mean(axis=0)], image_id, condition)
    detection = detection_statistic(both, list(right), image_id)
    reliability = [reliability_statistic(predicted, quality, image_id) for predicted in both]
    images = len(np.unique(image_id))
    all_rows = np.ones(images)
    defined = ~np.isnan(detection(all_rows))

    def judge(copies: NDArray[np.float64]) -> NDArray[np.float64]:
        """Computes all statistics of one draw, (len(PAIRED), 2)."""
        areas = mean_over_workers(detection(copies), defined)[:, :2].T
        errors = [error_of(totals(copies)) for totals in reliability]
        return np.vstack([ranks(copies)[:, 0], areas, errors])

    found = judge(all_rows)
    rng = np.random.default_rng(seed)
    replicated = np.array([judge(copies) for copies in draw_copies(images, replicates, rng)]).reshape(-1, *found.shape)
    differences = replicated[..., 0] - replicated[..., 1]
    return {name: _describe(name, found[row, 0], found[row, 1], differences[:, row]) for row, name in enumerate(PAIRED)}


def _describe(name: str, first: float, second: float, differences: NDArray[np.float64]) -> PairedDifference:
    difference = estimate(first - second, differences)
    better = None
    if difference.low is not None and difference.high is not None and not difference.low <= 0 <= difference.high:
        better = "first" if (difference.low > 0) != (name in _LESS_IS_BETTER) else "second"
    one, other = (None if np.isnan(value) else float(value) for value in (first, second))
    return PairedDifference(one, other, difference, better)
