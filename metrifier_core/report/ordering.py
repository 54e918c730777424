"""In which order workers and baselines stand in tables and figures."""

from collections.abc import Mapping
from typing import Any

from metrifier_core.statistics import MEAN


def mean_first(workers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the workers' results with those of their `mean` before the others; that of one worker is left out."""
    alone = len(workers.keys() - {MEAN}) == 1
    return {
        name: workers[name] for name in sorted(workers, key=lambda name: name != MEAN) if not (alone and name == MEAN)
    }


def first_target(workers: Mapping[str, Any]) -> str:
    """Return the name of what stands first: the mean, or the one worker that there is."""
    return next(iter(mean_first(workers)))


def best_first(baselines: Mapping[str, Any], target: str) -> dict[str, Any]:
    """Return the baselines' results on one target by falling global correlation, the undefined last."""
    of_target = {name: by_target[target] for name, by_target in baselines.items()}
    return dict(sorted(of_target.items(), key=lambda item: (_falling(item[1]["global"]["rho"]), item[0])))


def _falling(rho: float | None) -> float:
    return 2.0 if rho is None else -rho
