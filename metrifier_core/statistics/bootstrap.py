"""The bootstrap over source images that makes every interval."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

INTERVAL = (0.025, 0.975)

Statistics = Mapping[str, NDArray[np.float64]]


def draw_copies(images: int, replicates: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Draw source images with replacement, as many as there are, each with all its versions, `replicates` times.

    A cluster bootstrap (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8; Field and
    Welsh, "Bootstrapping clustered data", 2007): versions of one source image are not independent.

    Yields:
        How often each image was drawn, whole numbers (images,); nothing for a single image, which has no interval.

    Raises:
        ValueError: `replicates` is below 1.
    """
    if replicates < 1:
        raise ValueError(f"expected at least 1 bootstrap replicate, got {replicates}")
    if images > 1:
        for _ in range(replicates):
            yield np.bincount(rng.integers(images, size=images), minlength=images).astype(np.float64)


def bootstrap(
    statistic: Callable[[NDArray[np.float64]], Statistics], images: int, *, replicates: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Estimate statistics with 95 % percentile intervals (Efron and Tibshirani 1993, chapter 13).

    The statistic computes arrays of any shape, by name, from how often each source image was drawn, (images,); NaN
    where a value is undefined. The same seed gives the same draws to every statistic.

    Returns:
        By name value, low and high, stacked on a new last axis. Undefined draws are left out of an interval; a value
        that no draw defines has none (NaN), and so has an undefined value.

    Raises:
        ValueError: `replicates` is below 1.
    """
    whole = statistic(np.ones(images))
    draws = [statistic(copies) for copies in draw_copies(images, replicates, np.random.default_rng(seed))]
    return {name: _with_intervals(value, [draw[name] for draw in draws]) for name, value in whole.items()}


def _with_intervals(value: NDArray[np.float64], draws: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    cells = np.full((value.size, 3), np.nan)
    cells[:, 0] = value.ravel()
    for cell, drawn in zip(cells, np.array(draws).reshape(len(draws), value.size).T, strict=True):
        defined = drawn[~np.isnan(drawn)]
        if defined.size and not np.isnan(cell[0]):
            cell[1:] = np.quantile(defined, INTERVAL)
    return cells.reshape(*value.shape, 3)
