"""The order of workers, baselines and metrics in tables and figures."""

from collections.abc import Container, Mapping
from typing import TypeVar

from metrifier_core.statistics import HEADLINE, MEAN, Figures, Metric, list_metrics

Value = TypeVar("Value")


def mean_first(workers: Mapping[str, Value]) -> dict[str, Value]:
    """Return the workers' results with their `MEAN` first; the mean of a single worker is left out."""
    alone = len(workers.keys() - {MEAN}) == 1
    return {
        name: workers[name] for name in sorted(workers, key=lambda name: name != MEAN) if not (alone and name == MEAN)
    }


def first_target(workers: Mapping[str, Value]) -> str:
    """Return the name of what stands first: the mean, or the only worker."""
    return next(iter(mean_first(workers)))


def best_first(baselines: Mapping[str, Mapping[str, Figures]], target: str) -> dict[str, Figures]:
    """Return the baselines' figures for one target by descending `HEADLINE`, the undefined last."""

    def order(name: str) -> tuple[float, str]:
        value = baselines[name][target][HEADLINE].value
        return (2.0 if value is None else -value, name)

    return {name: baselines[name][target] for name in sorted(baselines, key=order)}


def judged_metrics(figures: Container[str]) -> list[Metric]:
    """Return the registered metrics that have a figure, in the order of their registration."""
    return [metric for metric in list_metrics() if metric.name in figures]
