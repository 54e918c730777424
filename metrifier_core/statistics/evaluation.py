"""Everything that a metrifier is judged by, beside its ceiling and the baselines on the same versions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from metrifier_core.statistics.bootstrap import bootstrap
from metrifier_core.statistics.metrics import get_metric, list_metrics, metric_statistic, worker_statistic
from metrifier_core.statistics.results import Condition, Estimate, Figure, Figures, Judgement
from metrifier_core.statistics.rows import Draw, ScoredRows
from metrifier_core.statistics.standard_metrics import DISCARDED, discard_errors, reliability_bins

METRIFIER, CEILING = "metrifier", "ceiling"
"""The names of the metrifier's prediction and of the label itself among predictors."""

BASELINES: Mapping[str, str] = {
    "laplacian_variance": "sees only the image",
    "jpeg_size": "sees only the image",
    "brisque_trees": "sees only the image, learned on the training versions",
    "psnr": "sees the pristine image too",
    "ssim": "sees the pristine image too",
    "severity_oracle": "told distortion and severity, not shown the image",
    "single_confidence": "asks the most accurate label worker, not told the right class",
    "label_confidence": "asks all label workers, not told the right class",
}
"""The baselines of a run, and what each one knows."""

IMAGE_ALONE = ("laplacian_variance", "jpeg_size", "brisque_trees")
"""The baselines that know no more than the metrifier does."""

_Values = NDArray[np.float64]


def estimate_metrics(
    rows: ScoredRows, metrics: Sequence[str], *, replicates: int, seed: int
) -> dict[str, dict[str, dict[str, Estimate]]]:
    """Estimate the metrics of these names, which workers judge.

    Returns:
        Held-out worker or `MEAN` -> predictor -> metric -> estimate. The order of the rows has no influence.

    Raises:
        ValueError: There is no such metric, or `replicates` is below 1.
    """
    judge = metric_statistic(rows, [get_metric(name) for name in metrics])
    found = bootstrap(lambda copies: {"": judge(Draw(rows, copies))}, rows.images, replicates=replicates, seed=seed)[""]
    return {
        target: {
            name: {metric: estimate(found[m, k, t]) for m, metric in enumerate(metrics)}
            for k, name in enumerate(rows.scores)
        }
        for t, target in enumerate(rows.targets)
    }


def evaluate_predictors(
    predictors: Mapping[str, _Values],
    tcp: Mapping[str, _Values],
    right: Mapping[str, NDArray[np.bool_]],
    image_id: NDArray[np.generic],
    distortion: NDArray[np.generic],
    severity: NDArray[np.integer],
    *,
    replicates: int,
    seed: int,
) -> Judgement:
    """Judge predictors by held-out workers; docs/evaluation.md explains each number.

    All predictors are judged on the same rows and all intervals come from the same draws. A predictor that is NaN
    anywhere could only be judged on other rows than the rest: all of its numbers are None.

    Args:
        predictors: `METRIFIER` and `CEILING`, the label, both in [0, 1], and the baselines by name, each (N,), higher
            for better quality.
        tcp: Held-out worker -> its true-class probabilities, (N,).
        right: The same workers -> whether each answer is right, (N,).
        image_id: Source image of each version, (N,).
        distortion: Its distortion, strings (N,).
        severity: Its severity, (N,); 0 is pristine.
        replicates: Number of bootstrap replicates.
        seed: Seed of the bootstrap.

    Returns:
        All figures.

    Raises:
        ValueError: Columns differ in length, a value is out of its range, or `replicates` is below 1.
    """
    complete = {name: score for name, score in predictors.items() if not np.isnan(score).any()}
    condition = np.array([f"{name} {level}" for name, level in zip(distortion, severity, strict=True)])
    rows = ScoredRows(complete, tcp, right, predictors[CEILING], image_id, condition)
    predicted = replace(rows, scores={METRIFIER: predictors[METRIFIER]})
    names = list(complete)
    own, label = names.index(METRIFIER), names.index(CEILING)
    metrics, label_metrics = list_metrics("workers"), list_metrics("label")
    judge, judge_by_label = metric_statistic(rows, metrics), metric_statistic(predicted, label_metrics)
    discard = worker_statistic(rows, discard_errors, "discard")

    def statistic(copies: _Values) -> dict[str, _Values]:
        draw = Draw(rows, copies)
        values = judge(draw).swapaxes(0, 1)
        rho, counts = draw.correlations_by_condition
        return {
            "figures": values,
            "margins": values[own, :, -1] - values[:, :, -1],
            "discard": discard(draw),
            "conditions": np.where(counts[-1], rho[-1][[own, label]], np.nan),
            "label": judge_by_label(Draw(predicted, copies))[:, 0],
        }

    found = bootstrap(statistic, rows.images, replicates=replicates, seed=seed)
    baselines = [name for name in predictors if name not in {METRIFIER, CEILING}]

    def cells(kind: str, name: str) -> _Values:
        return found[kind][names.index(name)] if name in complete else np.full_like(found[kind][0], np.nan)

    def by_target(name: str) -> dict[str, Figures]:
        values, ceilings = cells("figures", name), cells("figures", CEILING if name == METRIFIER else "")[..., 0]
        return {
            target: {
                metric.name: _figure(values[m, t], ceilings[m, t], share=metric.is_correlation)
                for m, metric in enumerate(metrics)
            }
            for t, target in enumerate(rows.targets)
        }

    _, first, counts = np.unique(condition, return_index=True, return_counts=True)
    conditions = [
        Condition(
            distortion=str(distortion[first[g]]),
            severity=int(severity[first[g]]),
            rows=int(counts[g]),
            **dict(_figure(found["conditions"][0, g], found["conditions"][1, g, 0], share=True)),
        )
        for g in range(len(first))
    ]
    return Judgement(
        rows=len(image_id),
        sources=rows.images,
        workers=by_target(METRIFIER),
        ceiling=by_target(CEILING),
        baselines={name: by_target(name) for name in baselines},
        margins={
            name: {metric.name: estimate(cell) for metric, cell in zip(metrics, cells("margins", name), strict=True)}
            for name in baselines
        },
        label={one.name: Figure(**dict(estimate(found["label"][m]))) for m, one in enumerate(label_metrics)},
        discarded=DISCARDED,
        discard={
            target: {name: tuple(map(estimate, cells("discard", name)[t])) for name in predictors}
            for t, target in enumerate(rows.targets)
        },
        conditions=tuple(sorted(conditions, key=lambda one: (one.distortion, one.severity))),
        reliability=reliability_bins(Draw(predicted, np.ones(rows.images))),
    )


def defined(value: float) -> float | None:
    """Return a number as JSON holds it: None for NaN."""
    return None if np.isnan(value) else float(value)


def estimate(cell: _Values) -> Estimate:
    """Return value, low and high (3,) of `bootstrap` as an estimate."""
    value, low, high = map(defined, cell)
    return Estimate(value=value, low=low, high=high)


def _figure(cell: _Values, ceiling: float, *, share: bool) -> Figure:
    # A ceiling that is no better than chance has no share.
    reached = cell[0] / ceiling if share and ceiling > 0 else np.nan
    return Figure(**dict(estimate(cell)), ceiling=defined(ceiling), share=defined(reached))
