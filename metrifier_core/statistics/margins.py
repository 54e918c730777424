"""How far one score ranks better than others, on the same rows and the same draws."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from metrifier_core.statistics.bootstrap import Estimate, draw_copies, estimate
from metrifier_core.statistics.grouped_ranks import GroupedRanks


def correlation_margins(
    score: NDArray[np.float64],
    others: Mapping[str, NDArray[np.float64]],
    target: NDArray[np.float64],
    image_id: NDArray[np.generic],
    *,
    replicates: int,
    rng: np.random.Generator,
) -> dict[str, Estimate]:
    """Subtracts the global Spearman correlation of others from that of a score.

    Each draw judges all of them, as in `paired_differences`: the interval leaves out 0 where one is better, also where
    the intervals of the two correlations overlap.

    Args:
        score: (N,) without NaN, higher for better quality.
        others: By name, each (N,) without NaN.
        target: What all should rank like, (N,).
        image_id: Source image of each version, strings or integers (N,).
        replicates: Number of bootstrap replicates, at least 1.
        rng: Source of the draws; intervals are made as those of `rank_correlations`.

    Returns:
        The differences by name, above 0 where the score is ahead; undefined where the target is constant.

    Raises:
        ValueError: `replicates` is below 1.
    """
    if not others:
        return {}
    images, image = np.unique(image_id, return_inverse=True)
    columns = np.stack([target, score, *others.values()]).astype(np.float64)
    ranks = GroupedRanks.of(columns, np.zeros_like(image))

    def leads(copies: NDArray[np.float64]) -> NDArray[np.float64]:
        rho, counts = ranks.correlations(copies[image], 1)
        own, *rest = np.where(counts[0, 0], rho[0, :, 0], np.nan)
        return np.asarray(own - np.array(rest))

    found = leads(np.ones(len(images)))
    drawn = [leads(copies) for copies in draw_copies(len(images), replicates, rng)]
    replicated = np.array(drawn).reshape(-1, len(found))
    return {name: estimate(found[index], replicated[:, index]) for index, name in enumerate(others)}
