"""From the true-class probabilities (TCP) of several workers to one quality."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from metrifier_core.settings.base import Settings

_DROPPED_BITS = 12  # of a float32, which leaves 11 of its 23 bits of mantissa


class MergeSettings(Settings):
    """How the label workers' true-class probabilities (TCP) become one number."""

    quality: Literal["mean", "median", "mean_rank"] = Field(
        "mean", description="of TCP; `mean_rank` ranks each worker's versions first, so that none dominates"
    )


def mean_quality(tcp: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average true-class probabilities over label workers.

    Args:
        tcp: (W, N), W workers in one fixed order, since the order of a sum shows in its last digit.

    Returns:
        (N,) quality in [0, 1]; higher is better.
    """
    return np.asarray(tcp.mean(axis=0), np.float64)


def median_quality(tcp: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of true-class probabilities over label workers, which no single one of them moves far.

    Args:
        tcp: (W, N).

    Returns:
        (N,) quality in [0, 1]; higher is better.
    """
    return np.asarray(np.median(tcp, axis=0), np.float64)


class RankScale:
    """The ranks of true-class probabilities among all of one worker, in memory that does not grow with them.

    Probabilities that differ by less than one part in 2,000 have the same rank.
    """

    def __init__(self, workers: int) -> None:
        """Start with nothing counted, for a number of workers."""
        self._counts = np.zeros((workers, _rank_bin(np.ones(1))[0] + 1), np.int64)

    def __repr__(self) -> str:
        return f"RankScale({len(self._counts)} workers, {self._counts[0].sum()} versions)"

    def count(self, tcp: NDArray[np.float64]) -> None:
        """Count true-class probabilities, (W, N); every version once before any is ranked."""
        bins = self._counts.shape[1]
        self._counts += [np.bincount(_rank_bin(row), minlength=bins) for row in tcp]

    def mean_rank(self, tcp: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average ranks over label workers.

        Args:
            tcp: (W, N), in the workers' order of `count`.

        Returns:
            (N,) quality in (0, 1): the share of all versions that a worker does worse on, counting half of those with
            the same rank, averaged over workers.
        """
        # Twice the mid-ranks, in whole numbers: equal means are equal to the last digit.
        doubled = 2 * np.cumsum(self._counts, axis=1) - self._counts
        summed = np.sum([ranks[_rank_bin(row)] for ranks, row in zip(doubled, tcp, strict=True)], axis=0)
        return np.asarray(summed / (2 * self._counts.sum()), np.float64)


def _rank_bin(tcp: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return bins that ascend with the probabilities: the leading bits of a positive float count up with its value."""
    return (tcp.astype(np.float32).view(np.uint32) >> _DROPPED_BITS).astype(np.int64)
