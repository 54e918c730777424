"""How well scores predict that a worker is right on an image, with a bootstrap over source images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrifier_core.statistics.bootstrap import Estimate, draw_copies, estimate
from metrifier_core.statistics.error_curve import SortedErrors

DISCARDED: tuple[float, ...] = tuple(share / 100 for share in range(0, 51, 5))
"""The shares that are discarded in `FailureDetection.discard`."""

MEAN = "mean"
"""The name under which what is found of all workers is averaged."""


@dataclass(frozen=True)
class FailureDetection:
    """How well one score tells where one worker is right.

    Attributes:
        auroc: Area under the ROC curve, in [0, 1]; higher is better.
        augrc: Area under the generalized risk-coverage curve, in [0, .5]; lower is better.
        discard: Error rate on what is left when each share in `DISCARDED` of the rows, those that score lowest, is
            discarded.
    """

    auroc: Estimate
    augrc: Estimate
    discard: tuple[Estimate, ...]


def failure_detection(
    scores: Mapping[str, NDArray[np.float64]],
    right: Mapping[str, NDArray[np.bool_]],
    image_id: NDArray[np.generic],
    *,
    replicates: int,
    rng: np.random.Generator,
) -> dict[str, dict[str, FailureDetection]]:
    """Finds out how well scores predict that workers are right.

    Tied scores count as if their order were drawn by lot, on average. For `MEAN` each statistic is averaged over the
    workers for which it is defined; all are but the AUROC of a worker that is always or never right. The interval is
    that of `rank_correlations`, on the same draws where the generator is the same; a draw that leaves a statistic
    undefined is left out of its interval.

    Args:
        scores: Scores to judge by name, each (N,), higher for what is trusted more. Infinity is a score too.
        right: Of each worker by name, at least one, whether it is right on each version, (N,).
        image_id: Source image of each version, strings or integers (N,).
        replicates: Number of bootstrap replicates, at least 1.
        rng: Source of the draws. The order of the rows has no influence on the result.

    Returns:
        For each worker and `MEAN`, for each score name, what was found.

    Raises:
        ValueError: Columns differ in length, a score holds NaN, or `replicates` is below 1.
    """
    _check(scores, right, image_id)
    images = len(np.unique(image_id))
    judge = detection_statistic(list(scores.values()), list(right.values()), image_id)
    found = judge(np.ones(images))
    replicated = np.array([judge(copies) for copies in draw_copies(images, replicates, rng)]).reshape(-1, *found.shape)
    # Averaged over the workers of which the whole table defines a statistic; of these a draw has to define all.
    defined = ~np.isnan(found)
    found_mean, replicated_mean = (mean_over_workers(values, defined) for values in (found, replicated))

    def describe(values: NDArray[np.float64], drawn: NDArray[np.float64]) -> FailureDetection:
        auroc, augrc, *discard = (estimate(value, own) for value, own in zip(values, drawn.T, strict=True))
        return FailureDetection(auroc, augrc, tuple(discard))

    of_workers = {
        name: {score: describe(found[k, w], replicated[:, k, w]) for k, score in enumerate(scores)}
        for w, name in enumerate(right)
    }
    of_mean = {score: describe(found_mean[k], replicated_mean[:, k]) for k, score in enumerate(scores)}
    return {**of_workers, MEAN: of_mean}


def detection_statistic(
    scores: Sequence[NDArray[np.float64]], right: Sequence[NDArray[np.bool_]], image_id: NDArray[np.generic]
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Prepares the statistics of `failure_detection` for many draws of the same rows.

    Args:
        scores: K scores, each (N,) without NaN.
        right: Of each of W workers, whether it is right on each version, (N,).
        image_id: Source image of each version, (N,).

    Returns:
        A function from how often each source image was drawn, (images,) in their sorted order, to (K, W, 2 + D): AUROC,
        AUGRC and the error at each of `DISCARDED`, NaN where one is undefined.
    """
    answers = np.stack(list(right))
    image = np.unique(image_id, return_inverse=True)[1]
    ordered = [SortedErrors.of(score.astype(np.float64), answers) for score in scores]
    shares = np.array(DISCARDED)

    def judge(copies: NDArray[np.float64]) -> NDArray[np.float64]:
        weights = copies[image]
        curves = [errors.curve(weights) for errors in ordered]
        return np.array(
            [np.column_stack([curve.auroc(), curve.augrc(), curve.error_on_kept(shares)]) for curve in curves]
        )

    return judge


def mean_over_workers(values: NDArray[np.float64], defined: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Averages (..., K, W, S) over the workers W for which (K, W, S) says so; NaN where there are none."""
    count = defined.sum(axis=-2)
    total = np.where(defined, values, 0).sum(axis=-2)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def _check(
    scores: Mapping[str, NDArray[np.float64]], right: Mapping[str, NDArray[np.bool_]], image_id: NDArray[np.generic]
) -> None:
    named: Sequence[tuple[str, NDArray[np.generic]]] = [
        *((f"score {name!r}", score) for name, score in scores.items()),
        *((f"answers of {name!r}", answers) for name, answers in right.items()),
    ]
    for name, column in named:
        if column.shape != image_id.shape:
            raise ValueError(f"The {name} need one value a version, shape {image_id.shape}, not {column.shape}.")
    for name, score in scores.items():
        if np.isnan(score).any():
            raise ValueError(f"The score {name!r} holds NaN.")
