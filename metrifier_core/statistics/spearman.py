"""Spearman's rank correlation at three levels, with a bootstrap over source images."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from metrifier_core.statistics.bootstrap import Estimate, draw_copies, estimate
from metrifier_core.statistics.grouped_ranks import GroupedRanks

LEVELS = ("global", "within_image", "within_condition")
"""The levels of `rank_correlations`: all versions; those of one source image; those at one condition."""


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
    in_all = GroupedRanks.of(columns, np.zeros_like(image))
    in_condition = GroupedRanks.of(columns, np.unique(condition, return_inverse=True)[1])
    image_rho, image_counts = GroupedRanks.of(columns, image).correlations(np.ones(image.size), len(targets))

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
