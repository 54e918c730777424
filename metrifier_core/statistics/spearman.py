"""Spearman's rank correlation at three levels, with a bootstrap over source images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from metrifier_core.statistics.bootstrap import Estimate, draw_copies, estimate

__all__ = ["LEVELS", "rank_correlations", "rank_statistic"]

LEVELS = ("global", "within_image", "within_condition")
"""The levels of `rank_correlations`: all versions; those of one source image; those at one condition."""

_FEWEST_VERSIONS = 3


def rank_correlations(
    scores: Mapping[str, NDArray[np.float64]],
    targets: Mapping[str, NDArray[np.float64]],
    image_id: NDArray[np.generic],
    condition: NDArray[np.generic],
    *,
    replicates: int,
    rng: np.random.Generator,
) -> dict[str, dict[str, dict[str, Estimate]]]:
    """Return how well each score ranks versions as each target does, with 95 % intervals.

    The levels, each one Spearman's rho with average ranks for ties (Spearman, "The proof and measurement of
    association between two things", 1904):

    - `global`: over all versions.
    - `within_image`: over the versions of one source image, averaged over source images.
    - `within_condition`: over the versions at one condition, averaged over conditions.

    A group (all versions, a source image, a condition) with fewer than 3 versions or a constant target is
    left out for every score, and a level without any group left is undefined. A score that is constant in a
    group ranks nothing there and counts as 0.

    The interval is the percentile interval of a bootstrap over source images, see `draw_copies` and `estimate`. All
    scores, targets and levels are judged on the same draws. Copies of a version drawn twice are ties and count once
    towards the 3. A replicate in which a level is undefined is left out of its interval; one source image alone has
    none.

    Args:
        scores: Scores to judge by name, each (N,), higher for better quality. Infinity is a score too.
        targets: What they should rank like by name, each (N,), such as a held-out worker's true-class probability.
        image_id: Source image of each version, strings or integers (N,).
        condition: Distortion and severity of each version as one string or integer, (N,).
        replicates: Number of bootstrap replicates, at least 1.
        rng: Source of the draws. The order of the rows has no influence on the result.

    Returns:
        For each target name, for each score name, the estimate at each of `LEVELS`.

    Raises:
        ValueError: Columns differ in length, a score or a target holds NaN, or `replicates` is below 1.
    """
    _check(scores, targets, image_id, condition)
    if not scores or not targets:
        return {name: {} for name in targets}
    images = len(np.unique(image_id))
    level_means = rank_statistic(list(scores.values()), list(targets.values()), image_id, condition)
    rho = level_means(np.ones(images))
    bootstrap = [level_means(copies) for copies in draw_copies(images, replicates, rng)]
    replicated = np.array(bootstrap).reshape(-1, *rho.shape)
    return {
        target: {
            score: {level: estimate(rho[row, t, s], replicated[:, row, t, s]) for row, level in enumerate(LEVELS)}
            for s, score in enumerate(scores)
        }
        for t, target in enumerate(targets)
    }


def rank_statistic(
    scores: Sequence[NDArray[np.float64]],
    targets: Sequence[NDArray[np.float64]],
    image_id: NDArray[np.generic],
    condition: NDArray[np.generic],
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Prepares the correlations of `rank_correlations` for many draws of the same rows.

    Args:
        scores: S scores, each (N,) without NaN.
        targets: T targets, each (N,) without NaN.
        image_id: Source image of each version, (N,).
        condition: Of each version, (N,).

    Returns:
        A function from how often each source image was drawn, (images,) in their sorted order, to (3, T, S): rho at
        each of `LEVELS`, NaN where a level is undefined.
    """
    columns = np.stack([*targets, *scores]).astype(np.float64)
    image = np.unique(image_id, return_inverse=True)[1]
    in_all = _GroupedRanks.of(columns, np.zeros_like(image))
    in_condition = _GroupedRanks.of(columns, np.unique(condition, return_inverse=True)[1])
    image_rho, image_counts = _GroupedRanks.of(columns, image).correlations(np.ones(image.size), len(targets))

    def level_means(copies: NDArray[np.float64]) -> NDArray[np.float64]:
        weights = copies[image]
        return np.stack(
            [
                _mean(*in_all.correlations(weights, len(targets))),
                _mean(image_rho, image_counts * copies),
                _mean(*in_condition.correlations(weights, len(targets))),
            ]
        )

    return level_means


@dataclass(frozen=True)
class _GroupedRanks:
    """Columns sorted once inside each group, so that they can be ranked under any weights in linear time.

    Average ranks under integer weights are those of a table that repeats each row that many times.
    """

    rows: NDArray[np.intp]  # (N,) the rows sorted by group; places below count in this order
    group: NDArray[np.intp]  # (N,) group at each place
    edges: NDArray[np.intp]  # (G + 1,) where each group begins, and the end of the last
    order: NDArray[np.intp]  # (K, N) places sorted by group and then by the value of each column
    ties_begin: NDArray[np.intp]  # (K, N) where the ties of each place begin in `order`, flat in (K, N + 1)
    ties_end: NDArray[np.intp]  # (K, N) where they end, exclusive

    @classmethod
    def of(cls, columns: NDArray[np.float64], group: NDArray[np.intp]) -> Self:
        """Sort columns (K, N) within groups (N,), numbered from 0 without gaps."""
        rows = np.argsort(group, kind="stable")
        group, size = group[rows], len(rows)
        group_begins = np.diff(group, prepend=-1) != 0
        edges = np.append(np.flatnonzero(group_begins), size)
        order, ties_begin, ties_end = np.empty((3, *columns.shape), dtype=np.intp)
        for index, column in enumerate(columns[:, rows]):
            places = np.lexsort((column, group))
            begins = group_begins.copy()
            begins[1:] |= column[places[1:]] != column[places[:-1]]
            bounds = np.append(np.flatnonzero(begins), size) + index * (size + 1)
            tie = np.cumsum(begins) - 1
            order[index] = places
            ties_begin[index, places] = bounds[tie]
            ties_end[index, places] = bounds[tie + 1]
        return cls(rows, group, edges, order, ties_begin, ties_end)

    def correlations(self, weights: NDArray[np.float64], targets: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Correlate each of the first columns with each of the others in every group.

        Args:
            weights: Copies of each row, (N,), whole numbers from 0 up: rows are repeated as often.
            targets: How many columns T stand first.

        Returns:
            Spearman's rho, (T, K - T, G), 0 for constant columns; and in which groups each target counts, (T, G).
        """
        weights = weights[self.rows]
        copies_before = np.zeros((len(self.order), len(weights) + 1))
        np.cumsum(weights[self.order], axis=1, out=copies_before[:, 1:])
        group_bounds = copies_before[0, self.edges]
        middle = group_bounds[:-1] + group_bounds[1:]
        flat = copies_before.ravel()
        # Twice the distance from the group's mean rank: whole numbers, so that no sum depends on row order.
        rank = flat[self.ties_begin] + flat[self.ties_end] - middle[self.group]
        weighted = rank * weights
        starts = self.edges[:-1]
        variance = np.add.reduceat(weighted * rank, starts, axis=1)
        # One target at a time, so that all products of one fit into a processor's cache.
        covariance = np.stack([np.add.reduceat(weighted[targets:] * one, starts, axis=1) for one in rank[:targets]])
        versions = np.add.reduceat(weights > 0, starts, dtype=np.intp)
        counts = (versions >= _FEWEST_VERSIONS) & (variance[:targets] > 0)
        scale = np.sqrt(variance[:targets, None] * variance[targets:])
        rho = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
        return rho, counts


def _mean(rho: NDArray[np.float64], weights: NDArray[np.float64 | np.bool_]) -> NDArray[np.float64]:
    """Return the mean of rho (T, S, G) over groups by weights (T, G), as (T, S); NaN where there is no weight."""
    total = weights.sum(axis=1)[:, None]
    summed = (rho * weights[:, None]).sum(axis=2)
    return np.asarray(np.divide(summed, total, out=np.full(summed.shape, np.nan), where=total > 0))


def _check(
    scores: Mapping[str, NDArray[np.float64]],
    targets: Mapping[str, NDArray[np.float64]],
    image_id: NDArray[np.generic],
    condition: NDArray[np.generic],
) -> None:
    judged = {
        **{f"target {name!r}": target for name, target in targets.items()},
        **{f"score {name!r}": score for name, score in scores.items()},
    }
    rows = len(next(iter(judged.values()), image_id))
    for name, column in {"image_id": image_id, "condition": condition, **judged}.items():
        if column.shape != (rows,):
            raise ValueError(f"The {name} needs one value a version, shape ({rows},), not {column.shape}.")
    for name, column in judged.items():
        if np.isnan(column).any():
            raise ValueError(f"The {name} holds NaN.")
