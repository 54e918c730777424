"""How well images are ranked at every single distortion and severity."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrifier_core.statistics.bootstrap import Estimate, draw_copies, estimate
from metrifier_core.statistics.grouped_ranks import GroupedRanks


@dataclass(frozen=True)
class ConditionCorrelation:
    """Rank correlations among the versions at one distortion and severity.

    Attributes:
        distortion: Its name.
        severity: From 1 to 5, or 0 for pristine versions.
        rows: How many versions there are.
        own: Spearman's rho of the prediction with the target.
        ceiling: The same of the label on the same rows.
    """

    distortion: str
    severity: int
    rows: int
    own: Estimate
    ceiling: Estimate


def condition_correlations(
    predicted: NDArray[np.float64],
    label: NDArray[np.float64],
    target: NDArray[np.float64],
    image_id: NDArray[np.generic],
    distortion: NDArray[np.generic],
    severity: NDArray[np.integer],
    *,
    replicates: int,
    rng: np.random.Generator,
) -> tuple[ConditionCorrelation, ...]:
    """Ranks the images at each distortion and severity apart.

    Spearman's rho with average ranks for ties, 0 where the score is constant; undefined with fewer than 3 versions or a
    constant target. These are the numbers that `within_condition` of `rank_correlations` is the mean of.

    Args:
        predicted: The metrifier's score, (N,), higher for better quality.
        label: What it learned to predict, (N,).
        target: What both should rank like, such as the held-out workers' mean true-class probability, (N,).
        image_id: Source image of each version, strings or integers (N,).
        distortion: Of each version, strings (N,).
        severity: Of each version, (N,).
        replicates: Number of bootstrap replicates, at least 1.
        rng: Source of the draws; intervals are made as those of `rank_correlations`.

    Returns:
        A correlation a condition, by the distortion's name and then by severity.

    Raises:
        ValueError: `replicates` is below 1.
    """
    names, name = np.unique(distortion.astype(str), return_inverse=True)
    levels, level = np.unique(severity, return_inverse=True)
    places, condition, rows = np.unique(name * len(levels) + level, return_inverse=True, return_counts=True)
    images, image = np.unique(image_id, return_inverse=True)
    ranks = GroupedRanks.of(np.stack([target, predicted, label]).astype(np.float64), condition)

    def correlate(copies: NDArray[np.float64]) -> NDArray[np.float64]:
        rho, counts = ranks.correlations(copies[image], 1)
        return np.where(counts, rho[0], np.nan)

    found = correlate(np.ones(len(images)))
    drawn = [correlate(copies) for copies in draw_copies(len(images), replicates, rng)]
    replicated = np.array(drawn).reshape(-1, *found.shape)
    return tuple(
        ConditionCorrelation(
            distortion=str(names[place // len(levels)]),
            severity=int(levels[place % len(levels)]),
            rows=int(rows[index]),
            own=estimate(found[0, index], replicated[:, 0, index]),
            ceiling=estimate(found[1, index], replicated[:, 1, index]),
        )
        for index, place in enumerate(places)
    )
