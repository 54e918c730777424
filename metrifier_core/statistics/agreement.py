"""Agreement of classifiers about which images are hard: the limit for any predictor of one from the others."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Agreement:
    """Rank correlations between workers' true-class probabilities (TCP) on the same versions.

    Attributes:
        spearman: (W, W) Spearman's rank correlation of each pair.
        ceilings: (W,) correlation of each worker with the mean TCP of all workers of other families, which could make
            the label if it were held out; NaN if there are none.
    """

    workers: tuple[str, ...]
    spearman: NDArray[np.float64]
    ceilings: tuple[float, ...]


def worker_agreement(tcp: Mapping[str, NDArray[np.float64]], families: Mapping[str, str]) -> Agreement:
    """Correlate workers with each other by their TCP, (N,), on the same versions in the same order.

    The agreement has the workers in the order of `tcp`; `families` names the family of each.
    """
    names = tuple(tcp)
    values = np.stack([tcp[name] for name in names])
    ceilings = []
    for name, worker in zip(names, values, strict=True):
        others = [families[other] != families[name] for other in names]
        pair = np.stack([values[others].mean(axis=0), worker]) if any(others) else np.zeros((2, len(worker)))
        ceilings.append(float(_correlate(pair)[0, 1]))
    return Agreement(names, _correlate(values), tuple(ceilings))


def _correlate(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Spearman's correlation of each pair of rows; NaN for a constant row."""
    from scipy.stats import rankdata

    ranks = rankdata(rows, axis=1)
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(centred @ centred.T / (length[:, None] * length))
