"""The scored test versions that metrics are computed on, and one bootstrap draw of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from metrifier_core.statistics.error_curve import ErrorCurve, SortedErrors
from metrifier_core.statistics.grouped_ranks import GroupedRanks

MEAN = "mean"
"""The target beside the held-out workers: their mean."""

Columns = Mapping[str, NDArray[np.float64]]
Correlations = tuple[NDArray[np.float64], NDArray[np.float64 | np.bool_]]


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Scores of K predictors on N versions, beside the answers of W held-out workers and the label.

    Attributes:
        scores: Predictor -> its scores, (N,), higher for better quality; infinity is allowed, NaN is not.
        tcp: Worker -> its true-class probabilities, (N,).
        right: Worker -> whether its answer is right, (N,).
        quality: The label in [0, 1], (N,).
        image_id: Source image of each version, strings or integers (N,).
        condition: Distortion and severity of each version as one string or integer, (N,).

    Raises:
        ValueError: Columns differ in length, or a score or a probability is NaN.
    """

    scores: Columns = field(repr=False)
    tcp: Columns = field(repr=False)
    right: Mapping[str, NDArray[np.bool_]] = field(repr=False)
    quality: NDArray[np.float64] = field(repr=False)
    image_id: NDArray[np.generic]
    condition: NDArray[np.generic] = field(repr=False)

    def __post_init__(self) -> None:
        judged = {f"score '{name}'": column for name, column in self.scores.items()}
        judged |= {f"TCP of '{name}'": column for name, column in self.tcp.items()}
        answers = {f"answers of '{name}'": column for name, column in self.right.items()}
        columns = {"quality": self.quality, "condition": self.condition, **judged, **answers}
        for name, column in columns.items():
            if column.shape != self.image_id.shape:
                raise ValueError(f"{name}: expected one value per version, {self.image_id.shape}, got {column.shape}")
        for name, column in judged.items():
            if np.isnan(column).any():
                raise ValueError(f"{name}: contains NaN")

    @property
    def targets(self) -> list[str]:
        """Return the workers and `MEAN`, in the order of the rows of `tcp_rows`."""
        return [*self.tcp, MEAN]

    @cached_property
    def score_rows(self) -> NDArray[np.float64]:
        """Return the scores as (K, N)."""
        return np.array([*self.scores.values()], np.float64).reshape(len(self.scores), len(self.image_id))

    @cached_property
    def tcp_rows(self) -> NDArray[np.float64]:
        """Return the workers' probabilities and, last, their mean as (W + 1, N)."""
        workers = np.array([*self.tcp.values()], np.float64)
        return np.vstack([workers, workers.mean(axis=0)])

    @cached_property
    def right_rows(self) -> NDArray[np.bool_]:
        """Return the workers' answers as (W, N)."""
        return np.array([*self.right.values()], np.bool_).reshape(len(self.right), len(self.image_id))

    @cached_property
    def image(self) -> NDArray[np.intp]:
        """Return the index of each version's source image among the sorted ones, (N,)."""
        return np.asarray(np.unique(self.image_id, return_inverse=True)[1])

    @cached_property
    def images(self) -> int:
        """Return the number of source images."""
        return int(self.image.max(initial=-1)) + 1

    @cached_property
    def ranks(self) -> GroupedRanks:
        """Return the ranks among all versions."""
        return self._ranks(np.zeros_like(self.image))

    @cached_property
    def ranks_by_condition(self) -> GroupedRanks:
        """Return the ranks among the versions of each condition, conditions sorted."""
        return self._ranks(np.unique(self.condition, return_inverse=True)[1])

    @cached_property
    def correlations_by_image(self) -> Correlations:
        """Return what `GroupedRanks.correlations` finds among the versions of each source image."""
        return self._ranks(self.image).correlations(np.ones(self.image.size), len(self.targets))

    @cached_property
    def errors(self) -> list[SortedErrors]:
        """Return the workers' errors in the order of each score."""
        return [SortedErrors.of(score, self.right_rows) for score in self.score_rows]

    def _ranks(self, group: NDArray[np.intp]) -> GroupedRanks:
        return GroupedRanks.of(np.concatenate([self.tcp_rows, self.score_rows]), group)


@dataclass(frozen=True, eq=False)
class Draw:
    """One bootstrap draw of the rows, `copies` (images,) of each source image: all that a metric sees."""

    rows: ScoredRows
    copies: NDArray[np.float64] = field(repr=False)

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Return how often each version was drawn, whole numbers (N,)."""
        return self.copies[self.rows.image]

    @property
    def scores(self) -> NDArray[np.float64]:
        """Return the scores of the K predictors, (K, N)."""
        return self.rows.score_rows

    @property
    def tcp(self) -> NDArray[np.float64]:
        """Return the true-class probabilities of the W workers and, last, their mean, (W + 1, N)."""
        return self.rows.tcp_rows

    @property
    def right(self) -> NDArray[np.bool_]:
        """Return whether each worker's answer is right, (W, N)."""
        return self.rows.right_rows

    @property
    def quality(self) -> NDArray[np.float64]:
        """Return the label, (N,)."""
        return self.rows.quality

    @cached_property
    def correlations(self) -> Correlations:
        """Return Spearman's rho over all versions, (W + 1, K, 1), and where it is defined, (W + 1, 1)."""
        return self.rows.ranks.correlations(self.weights, len(self.tcp))

    @property
    def correlations_by_image(self) -> Correlations:
        """Return Spearman's rho within each source image, (W + 1, K, images), and its weight, (W + 1, images)."""
        rho, defined = self.rows.correlations_by_image
        return rho, defined * self.copies

    @cached_property
    def correlations_by_condition(self) -> Correlations:
        """Return Spearman's rho at each condition, (W + 1, K, G), and where it is defined, (W + 1, G)."""
        return self.rows.ranks_by_condition.correlations(self.weights, len(self.tcp))

    @cached_property
    def error_curves(self) -> list[ErrorCurve]:
        """Return the workers' errors among the versions that each of the K scores discards first."""
        return [errors.curve(self.weights) for errors in self.rows.errors]
