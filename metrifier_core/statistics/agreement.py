"""How far classifiers agree about which images are hard: what any predictor of one from the others can hope for."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


@dataclass(frozen=True)
class Agreement:
    """Rank correlations between workers' true-class probabilities (TCP) on the same versions.

    Attributes:
        workers: Their names.
        spearman: (W, W) Spearman's rank correlation of every two.
        ceilings: Of each worker, that with the mean TCP of all workers of other families, which are what could make
            the label if it were held out; NaN where there are none.
    """

    workers: tuple[str, ...]
    spearman: NDArray[np.float64]
    ceilings: tuple[float, ...]


def _correlate(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlates rows of ranks; a row that is all alike correlates with nothing."""
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(centred @ centred.T / (length[:, None] * length))


def worker_agreement(tcp: Mapping[str, NDArray[np.float64]], families: Mapping[str, str]) -> Agreement:
    """Finds out how far workers agree.

    Args:
        tcp: Of each worker, (N,) on the same versions in the same order.
        families: Of each worker.

    Returns:
        Their agreement, in the order of `tcp`.
    """
    names = tuple(tcp)
    values = np.stack([tcp[name] for name in names])
    spearman = _correlate(rankdata(values, axis=1))
    ceilings = []
    for index, name in enumerate(names):
        others = [place for place, other in enumerate(names) if families[other] != families[name]]
        pair = [values[others].mean(axis=0), values[index]] if others else [np.zeros_like(values[index])] * 2
        ceilings.append(float(_correlate(rankdata(pair, axis=1))[0, 1]))
    return Agreement(names, spearman, tuple(ceilings))
