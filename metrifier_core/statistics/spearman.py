"""Spearman's rank correlation at three levels, with a bootstrap over source images."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

LEVELS = ("global", "within_image", "within_condition")
"""The levels of `rank_correlations`: all versions; those of one source image; those at one condition."""

_FEWEST_VERSIONS = 3
_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class Estimate:
    """A rank correlation in [-1, 1] with its 95 % interval; None where it is undefined."""

    rho: float | None
    low: float | None
    high: float | None


def rank_correlations(
    scores: Mapping[str, NDArray[np.float64]],
    target: NDArray[np.float64],
    image_id: NDArray[np.generic],
    condition: NDArray[np.generic],
    *,
    replicates: int,
    rng: np.random.Generator,
) -> dict[str, dict[str, Estimate]]:
    """Return how well each score ranks versions as the target does, with 95 % intervals.

    The levels, each one Spearman's rho with average ranks for ties (Spearman, "The proof and measurement of
    association between two things", 1904):

    - `global`: over all versions.
    - `within_image`: over the versions of one source image, averaged over source images.
    - `within_condition`: over the versions at one condition, averaged over conditions.

    A group (all versions, a source image, a condition) with fewer than 3 versions or a constant target is
    left out for every score, and a level without any group left is undefined. A score that is constant in a
    group ranks nothing there and counts as 0.

    The interval is the percentile interval (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
    chapter 13) of a cluster bootstrap (Davison and Hinkley, "Bootstrap Methods and their Application", 1997,
    section 3.8; Field and Welsh, "Bootstrapping clustered data", 2007): versions of one source image are not
    independent, so source images are drawn with replacement and keep all their versions. All scores and
    levels are judged on the same draws. Copies of a version drawn twice are ties and count once towards the
    3. A replicate in which a level is undefined is left out of its interval; one source image alone has none.

    Args:
        scores: Scores to judge by name, each (N,), higher for better quality. Infinity is a score too.
        target: What they should rank like, (N,), such as the true-class probability of a held-out worker.
        image_id: Source image of each version, strings or integers (N,).
        condition: Distortion and severity of each version as one string or integer, (N,).
        replicates: Number of bootstrap replicates, at least 1.
        rng: Source of the draws. The order of the rows has no influence on the result.

    Returns:
        For each score name the estimate at each of `LEVELS`.

    Raises:
        ValueError: Columns differ in length, a score or the target holds NaN, or `replicates` is below 1.
    """
    _check(scores, target, image_id, condition, replicates)
    if not scores:
        return {}
    columns = np.stack([target, *scores.values()]).astype(np.float64)
    images, image = np.unique(image_id, return_inverse=True)
    in_all = _GroupedRanks.of(columns, np.zeros_like(image))
    in_condition = _GroupedRanks.of(columns, np.unique(condition, return_inverse=True)[1])
    image_rho, image_counts = _GroupedRanks.of(columns, image).correlations(np.ones(len(target)))

    def level_means(copies: NDArray[np.float64]) -> NDArray[np.float64]:
        weights = copies[image]
        return np.stack(
            [
                _mean(*in_all.correlations(weights)),
                _mean(image_rho, image_counts * copies),
                _mean(*in_condition.correlations(weights)),
            ]
        )

    rho = level_means(np.ones(len(images)))
    bootstrap = [level_means(_draw(len(images), rng)) for _ in range(replicates if len(images) > 1 else 0)]
    replicated = np.array(bootstrap).reshape(-1, *rho.shape)
    return {
        name: {level: _estimate(rho[row, column], replicated[:, row, column]) for row, level in enumerate(LEVELS)}
        for column, name in enumerate(scores)
    }


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

    def correlations(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Correlate column 0 with each other column in every group, rows repeated as often as weights say.

        Args:
            weights: Copies of each row, (N,), whole numbers from 0 up.

        Returns:
            Spearman's rho, (K - 1, G), 0 for constant columns; and in which groups it counts, (G,).
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
        covariance = np.add.reduceat(weighted[1:] * rank[0], starts, axis=1)
        versions = np.add.reduceat(weights > 0, starts, dtype=np.intp)
        counts = (versions >= _FEWEST_VERSIONS) & (variance[0] > 0)
        scale = np.sqrt(variance[0] * variance[1:])
        rho = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
        return rho, counts


def _draw(images: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return how often each of so many images comes when as many are drawn with replacement."""
    return np.bincount(rng.integers(images, size=images), minlength=images).astype(np.float64)


def _mean(rho: NDArray[np.float64], weights: NDArray[np.float64 | np.bool_]) -> NDArray[np.float64]:
    """Return the weighted mean of rho (S, G) over groups, (S,); NaN where no group has weight."""
    total = weights.sum()
    return (rho * weights).sum(axis=1) / total if total > 0 else np.full(len(rho), np.nan)


def _estimate(rho: float, replicated: NDArray[np.float64]) -> Estimate:
    if math.isnan(rho):
        return Estimate(None, None, None)
    defined = replicated[~np.isnan(replicated)]
    if defined.size == 0:
        return Estimate(float(rho), None, None)
    low, high = np.quantile(defined, _INTERVAL)
    return Estimate(float(rho), float(low), float(high))


def _check(
    scores: Mapping[str, NDArray[np.float64]],
    target: NDArray[np.float64],
    image_id: NDArray[np.generic],
    condition: NDArray[np.generic],
    replicates: int,
) -> None:
    named_scores = {f"score {name!r}": score for name, score in scores.items()}
    columns = {"target": target, "image_id": image_id, "condition": condition, **named_scores}
    for name, column in columns.items():
        if column.shape != (len(target),):
            raise ValueError(f"The {name} needs one value a version, shape ({len(target)},), not {column.shape}.")
    for name, column in {"target": target, **named_scores}.items():
        if np.isnan(column).any():
            raise ValueError(f"The {name} holds NaN.")
    if replicates < 1:
        raise ValueError(f"The bootstrap needs at least 1 replicate, not {replicates}.")
