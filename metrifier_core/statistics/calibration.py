"""Whether predicted quality can be taken at its word."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrifier_core.statistics.bootstrap import Estimate, draw_copies, estimate

BINS = 15
"""Number of equal-width bins in [0, 1]."""


@dataclass(frozen=True)
class ReliabilityBin:
    """The versions whose prediction falls between two bounds.

    Attributes:
        low: Lowest prediction, in [0, 1].
        high: Highest; the bin holds those below it, the last bin those up to 1.
        count: Number of versions.
        mean_predicted: Of them, in [0, 1]; None where there are none.
        mean_quality: Of them, in [0, 1]; None where there are none.
    """

    low: float
    high: float
    count: int
    mean_predicted: float | None
    mean_quality: float | None


@dataclass(frozen=True)
class Calibration:
    """How far predictions are from what they predict.

    Attributes:
        error: Expected calibration error, in [0, 1], with its interval; lower is better.
        bins: The reliability table behind it, `BINS` bins.
    """

    error: Estimate
    bins: tuple[ReliabilityBin, ...]


def calibration(
    predicted: NDArray[np.float64],
    quality: NDArray[np.float64],
    image_id: NDArray[np.generic],
    *,
    replicates: int,
    rng: np.random.Generator,
) -> Calibration:
    """Computes the expected calibration error of predicted quality.

    The mean over versions of |mean predicted - mean quality| of the bin that a version's prediction falls into.
    Source: Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015;
    15 bins as in Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (arXiv 1706.04599). There the truth
    is whether an answer is right; here it is the label workers' mean true-class probability.

    The error is never negative, so that noise alone raises it: a bootstrap interval lies rather too high, and where
    bins hold few versions the statistic itself does.

    Args:
        predicted: Predicted quality in [0, 1], (N,), at least one.
        quality: True quality in [0, 1], (N,).
        image_id: Source image of each version, strings or integers (N,).
        replicates: Number of bootstrap replicates, at least 1.
        rng: Source of the draws; the interval is made as that of `rank_correlations`.

    Returns:
        The error, and the reliability table behind it.

    Raises:
        ValueError: Columns differ in length, there are no rows, a prediction or a quality is not in [0, 1], or
            `replicates` is below 1.
    """
    for name, column in {"predicted quality": predicted, "quality": quality}.items():
        if column.shape != image_id.shape or not column.size:
            raise ValueError(f"The {name} needs one value a version, shape {image_id.shape}, not {column.shape}.")
        if not ((column >= 0) & (column <= 1)).all():
            raise ValueError(f"The {name} holds values outside [0, 1].")
    images = len(np.unique(image_id))
    totals = reliability_statistic(predicted, quality, image_id)
    sums = totals(np.ones(images))
    replicated = [error_of(totals(copies)) for copies in draw_copies(images, replicates, rng)]
    bins = [
        ReliabilityBin(
            low=index / BINS,
            high=(index + 1) / BINS,
            count=int(count),
            mean_predicted=float(of_predicted / count) if count else None,
            mean_quality=float(of_quality / count) if count else None,
        )
        for index, (count, of_predicted, of_quality) in enumerate(sums.T)
    ]
    return Calibration(estimate(error_of(sums), np.array(replicated)), tuple(bins))


def reliability_statistic(
    predicted: NDArray[np.float64], quality: NDArray[np.float64], image_id: NDArray[np.generic]
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Prepares the reliability table of `calibration` for many draws of the same rows.

    Args:
        predicted: Predicted quality in [0, 1], (N,).
        quality: True quality in [0, 1], (N,).
        image_id: Source image of each version, (N,).

    Returns:
        A function from how often each source image was drawn, (images,) in their sorted order, to (3, BINS): rows,
        predictions and qualities of each bin, added up.
    """
    image = np.unique(image_id, return_inverse=True)[1]
    place = np.minimum((predicted * BINS).astype(np.intp), BINS - 1)

    def totals(copies: NDArray[np.float64]) -> NDArray[np.float64]:
        weights = copies[image]
        return np.array(
            [np.bincount(place, weights * column, minlength=BINS) for column in (np.ones(1), predicted, quality)]
        )

    return totals


def error_of(totals: NDArray[np.float64]) -> float:
    """Computes the expected calibration error of a reliability table, (3, BINS)."""
    return float(np.abs(totals[1] - totals[2]).sum() / totals[0].sum())
