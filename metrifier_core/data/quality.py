"""From the true-class probabilities of several workers to one quality."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from metrifier_core.settings.base import Settings

_DROPPED_BITS = 12  # of a float32, 11 of its 23 digits are left


class MergeSettings(Settings):
    """How the label workers' true-class probabilities (TCP) become one number."""

    quality: Literal["mean", "median", "mean_rank"] = Field(
        "mean", description="of TCP; `mean_rank` ranks each worker's versions first, so that none dominates"
    )


def mean_quality(tcp: NDArray[np.float64]) -> NDArray[np.float64]:
    """Averages true-class probabilities over label workers.

    Args:
        tcp: (W, N), W workers in one fixed order, since the order of a sum shows in its last digit.

    Returns:
        (N,) quality in [0, 1]; higher is better.
    """
    return np.asarray(tcp.mean(axis=0), np.float64)


def median_quality(tcp: NDArray[np.float64]) -> NDArray[np.float64]:
    """Takes the median of true-class probabilities over label workers: no single one of them moves it far.

    Args:
        tcp: (W, N).

    Returns:
        (N,) quality in [0, 1]; higher is better.
    """
    return np.asarray(np.median(tcp, axis=0), np.float64)


class RankScale:
    """Where a worker's true-class probability stands among all that it gave, in memory that does not grow with them.

    Probabilities that differ by less than one part in 2,000 stand alike.
    """

    def __init__(self, workers: int) -> None:
        """Starts with nothing counted.

        Args:
            workers: How many workers there are, each with a scale of its own.
        """
        self._counts = np.zeros((workers, _rank_bin(np.ones(1))[0] + 1), np.int64)

    def count(self, tcp: NDArray[np.float64]) -> None:
        """Counts true-class probabilities, (W, N); every version once before any is ranked."""
        bins = self._counts.shape[1]
        self._counts += [np.bincount(_rank_bin(own), minlength=bins) for own in tcp]

    def mean_rank(self, tcp: NDArray[np.float64]) -> NDArray[np.float64]:
        """Averages ranks over label workers.

        Args:
            tcp: (W, N), in the workers' order of `count`.

        Returns:
            (N,) quality in (0, 1): the share of all versions that a worker does worse on, half of its equals counted,
            averaged over workers.
        """
        # Twice the mid-ranks, in whole numbers: equal means are equal to the last digit.
        doubled = 2 * np.cumsum(self._counts, axis=1) - self._counts
        summed = np.sum([ranks[_rank_bin(own)] for ranks, own in zip(doubled, tcp, strict=True)], axis=0)
        return np.asarray(summed / (2 * self._counts.sum()), np.float64)


def _rank_bin(tcp: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers probabilities in their order: the first bits of a positive float count up with it."""
    return (tcp.astype(np.float32).view(np.uint32) >> _DROPPED_BITS).astype(np.int64)
