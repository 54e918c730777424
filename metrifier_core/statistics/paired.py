"""Which of two predictors is better, on the same versions and the same draws."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from metrifier_core.statistics.bootstrap import bootstrap
from metrifier_core.statistics.evaluation import defined, estimate
from metrifier_core.statistics.metrics import Metric, list_metrics, metric_statistic
from metrifier_core.statistics.results import Estimate
from metrifier_core.statistics.rows import Draw, ScoredRows


class PairedDifference(BaseModel):
    """A metric of two predictors on the same rows.

    Attributes:
        first, second: Its value for each; None where undefined.
        difference: First minus second, with its 95 % interval.
        better: Which predictor is better, where the interval excludes 0; else None.
    """

    model_config = ConfigDict(frozen=True)

    first: float | None
    second: float | None
    difference: Estimate
    better: Literal["first", "second"] | None


def paired_differences(rows: ScoredRows, *, replicates: int, seed: int) -> dict[str, PairedDifference]:
    """Compare the two predictors that scored the rows, both in [0, 1], by a paired bootstrap over source images.

    Each draw judges both, so that what it makes hard or easy for both cancels out: the interval of the difference is
    narrower than two intervals side by side suggest. Sources: those of `bootstrap` and `draw_copies`.

    Returns:
        Metric -> difference, of all registered metrics, against the mean of the workers or against the label.

    Raises:
        ValueError: A score or a quality is not in [0, 1], or `replicates` is below 1.
    """
    by_workers, by_label = list_metrics("workers"), list_metrics("label")
    judge, judge_by_label = metric_statistic(rows, by_workers), metric_statistic(rows, by_label)

    def statistic(copies: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        draw = Draw(rows, copies)
        values = np.concatenate([judge(draw)[:, :, -1], judge_by_label(draw)])
        return {"values": values, "difference": values[:, 0] - values[:, 1]}

    found = bootstrap(statistic, rows.images, replicates=replicates, seed=seed)
    return {
        metric.name: _describe(metric, defined(values[0, 0]), defined(values[1, 0]), estimate(difference))
        for metric, values, difference in zip(
            [*by_workers, *by_label], found["values"], found["difference"], strict=True
        )
    }


def _describe(metric: Metric, first: float | None, second: float | None, difference: Estimate) -> PairedDifference:
    better: Literal["first", "second"] | None = None
    if difference.low is not None and difference.high is not None and not difference.low <= 0 <= difference.high:
        better = "first" if (difference.low > 0) == metric.higher_is_better else "second"
    return PairedDifference(first=first, second=second, difference=difference, better=better)
