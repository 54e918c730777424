"""The bootstrap over source images that every interval is made by."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class Estimate:
    """A statistic with its 95 % interval; None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


def draw_copies(images: int, replicates: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Draws source images with replacement, as many as there are, each with all its versions.

    A cluster bootstrap (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8; Field and
    Welsh, "Bootstrapping clustered data", 2007): versions of one source image are not independent.

    Args:
        images: Number of source images.
        replicates: Number of draws, at least 1.
        rng: Source of the draws.

    Yields:
        How often each image was drawn, whole numbers (images,); nothing for one image alone, which has no interval.

    Raises:
        ValueError: `replicates` is below 1.
    """
    if replicates < 1:
        raise ValueError(f"The bootstrap needs at least 1 replicate, not {replicates}.")
    if images > 1:
        for _ in range(replicates):
            yield np.bincount(rng.integers(images, size=images), minlength=images).astype(np.float64)


def estimate(value: float, replicated: NDArray[np.float64]) -> Estimate:
    """Puts a statistic into its percentile interval.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Args:
        value: The statistic of all rows, NaN where it is undefined.
        replicated: The same of each draw, (R,); one that is NaN is left out.

    Returns:
        The statistic and its 95 % interval, without an interval where no draw defines it.
    """
    if math.isnan(value):
        return Estimate(None, None, None)
    defined = replicated[~np.isnan(replicated)]
    if defined.size == 0:
        return Estimate(float(value), None, None)
    low, high = np.quantile(defined, _INTERVAL)
    return Estimate(float(value), float(low), float(high))
