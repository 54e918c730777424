"""The registry of metrics: one function each, shown wherever a metrifier is judged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metrifier_core.statistics.rows import Draw, ScoredRows

Compute = Callable[[Draw], NDArray[np.float64]]
Judge = Literal["workers", "label"]


@dataclass(frozen=True)
class Metric:
    """A registered metric; `register_metric` explains its attributes."""

    name: str
    title: str
    description: str
    compute: Compute
    heading: str
    range: tuple[float, float]
    higher_is_better: bool
    is_correlation: bool
    judge: Judge

    @property
    def direction(self) -> str:
        """Return which way is better, in words."""
        return f"{'higher' if self.higher_is_better else 'lower'} is better"

    @property
    def meaning(self) -> str:
        """Return the description with the range and the direction."""
        low, high = self.range
        return f"{self.description} From {low:g} to {high:g}; {self.direction}."

    @property
    def digits(self) -> int:
        """Return how many digits of a value are worth showing."""
        return 2 if self.is_correlation else 3


_REGISTRY: dict[str, Metric] = {}


def register_metric(
    name: str,
    *,
    title: str,
    description: str,
    heading: str = "",
    range: tuple[float, float] = (0, 1),  # noqa: A002, the word for it
    higher_is_better: bool = True,
    is_correlation: bool = False,
    judge: Judge = "workers",
) -> Callable[[Compute], Compute]:
    """Register a function as a metric.

    It then appears in `metrics.json`, the report, the model card, `metrifier compare`, the comparison of families, the
    terminal tables and MLflow. A later registration of the same name replaces an earlier one.

    Args:
        name: Its key in `metrics.json` and MLflow.
        title: Its name in prose.
        description: One sentence on what it measures, with a full stop.
        heading: A shorter name above a column; the title by default.
        range: Its lowest and highest value.
        higher_is_better: Whether more is better.
        is_correlation: Whether it is a rank correlation: it is then drawn with the others and has a share of the
            ceiling.
        judge: "workers" calls the function with all predictors. It returns (K, W), one value per predictor and
            held-out worker, to which their mean is added, or (K, W + 1) with a value of its own for `MEAN`.
            "label" calls it only with predictions of quality in [0, 1]; it returns (K,).

    Returns:
        A decorator for a function of a `Draw`; NaN stands for an undefined value.
    """

    def register(compute: Compute) -> Compute:
        fields = (title, description, compute, heading or title, range, higher_is_better, is_correlation, judge)
        _REGISTRY[name] = Metric(name, *fields)
        return compute

    return register


def list_metrics(judge: Judge | None = None) -> list[Metric]:
    """Return the registered metrics in the order of their registration, all or those of one judge."""
    return [metric for metric in _REGISTRY.values() if judge in (None, metric.judge)]


def get_metric(name: str) -> Metric:
    """Return a registered metric.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in _REGISTRY:
        raise ValueError(f"unknown metric '{name}', expected one of {', '.join(_REGISTRY)}")
    return _REGISTRY[name]


def worker_statistic(rows: ScoredRows, compute: Compute, name: str) -> Compute:
    """Add the mean over the workers to a statistic (K, W, ...), unless it has one of its own, (K, W + 1, ...).

    The mean is over the workers for which all rows define the value; a draw has to define it for all of these.

    Raises:
        ValueError: The statistic has another shape.
    """
    whole = np.asarray(compute(Draw(rows, np.ones(rows.images))))
    predictors, workers = len(rows.scores), len(rows.tcp)
    if whole.shape[:2] == (predictors, workers + 1):
        return compute
    if whole.shape[:2] != (predictors, workers):
        expected = f"({predictors}, {workers}) or ({predictors}, {workers + 1})"
        raise ValueError(f"metric '{name}': expected values of shape {expected}, got {whole.shape}")
    defined = ~np.isnan(whole)

    def with_mean(draw: Draw) -> NDArray[np.float64]:
        values = compute(draw)
        count, total = defined.sum(axis=1), np.where(defined, values, 0).sum(axis=1)
        mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
        return np.concatenate([values, mean[:, None]], axis=1)

    return with_mean


def metric_statistic(rows: ScoredRows, metrics: Sequence[Metric]) -> Compute:
    """Return a function from a draw to the values of M metrics, (M, K, W + 1) or, judged by the label, (M, K)."""
    computes = [
        metric.compute if metric.judge == "label" else worker_statistic(rows, metric.compute, metric.name)
        for metric in metrics
    ]
    return lambda draw: np.array([compute(draw) for compute in computes], np.float64)
