"""One family of workers held out after the other: what each fold found, and the mean over the families."""

from collections.abc import Mapping, Sequence
from typing import Any

from metrifier_core.statistics.evaluation import CEILING, METRIFIER
from metrifier_core.statistics.failure_detection import MEAN
from metrifier_core.statistics.spearman import LEVELS

FIGURES = (*LEVELS, "auroc", "augrc")
"""What folds are compared by."""

Json = dict[str, Any]


def summarize_fold(metrics: Mapping[str, Any]) -> Json:
    """Takes out of a fold's metrics what folds are compared by.

    Args:
        metrics: What stands in `metrics.json`, with `unseen_distortions`.

    Returns:
        `workers`, the names of those held out; `calibration_error`; and `seen` and `unseen`, each `rows`, `sources` and
        `predictors`: for the metrifier, the ceiling and each baseline every one of `FIGURES` with `value`, `low` and
        `high` against the held-out workers' mean, and of the metrifier's correlations the `share` of the ceiling.
        `unseen` is None where no type of distortion was held out.
    """
    unseen = metrics["unseen_distortions"]
    return {
        "workers": [name for name in metrics["workers"] if name != MEAN],
        "calibration_error": metrics["calibration"]["error"]["value"],
        "seen": _summarize(metrics),
        "unseen": None if unseen is None else _summarize(unseen),
    }


def _summarize(found: Mapping[str, Any]) -> Json:
    by_predictor = {METRIFIER: found["workers"], CEILING: found["ceiling"], **found["baselines"]}
    return {
        "rows": found["rows"],
        "sources": found["sources"],
        "predictors": {
            name: {figure: _figure(targets[MEAN][figure]) for figure in FIGURES}
            for name, targets in by_predictor.items()
        },
    }


def _figure(found: Mapping[str, Any]) -> Json:
    figure = {"value": found["rho"] if "rho" in found else found["value"], "low": found["low"], "high": found["high"]}
    return {**figure, "share": found["share"]} if "share" in found else figure


def average_folds(folds: Sequence[Mapping[str, Any]]) -> Json:
    """Takes the mean over families, each counting the same however many workers it has.

    Args:
        folds: What `summarize_fold` gave, at least one.

    Returns:
        The same with means for `value`, `share` and `calibration_error`, None where one is undefined in any fold, and
        without `workers`, `rows`, `sources`, `low` and `high`, of which there is no mean.
    """
    parts: Json = {"calibration_error": _mean([fold["calibration_error"] for fold in folds])}
    for part in ("seen", "unseen"):
        found = [fold[part] for fold in folds]
        parts[part] = None if None in found else {"predictors": _average([one["predictors"] for one in found])}
    return parts


def _average(folds: Sequence[Mapping[str, Any]]) -> Json:
    return {
        name: {
            figure: {
                kind: _mean([fold[name][figure][kind] for fold in folds])
                for kind in ("value", "share")
                if kind in by_figure[figure]
            }
            for figure in by_figure
        }
        for name, by_figure in folds[0].items()
    }


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(values) if len(defined) == len(values) else None
