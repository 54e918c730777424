"""Everything that a metrifier is judged by, beside its ceiling and the baselines on the same versions, as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrifier_core.statistics.bootstrap import Estimate
from metrifier_core.statistics.calibration import calibration
from metrifier_core.statistics.conditions import ConditionCorrelation, condition_correlations
from metrifier_core.statistics.failure_detection import DISCARDED, MEAN, FailureDetection, failure_detection
from metrifier_core.statistics.margins import correlation_margins
from metrifier_core.statistics.spearman import LEVELS, rank_correlations

METRIFIER, CEILING = "metrifier", "ceiling"
"""What the metrifier's prediction and the label itself are called among predictors."""

BASELINES: Mapping[str, str] = {
    "laplacian_variance": "sees the image alone",
    "jpeg_size": "sees the image alone",
    "brisque_trees": "sees the image alone, learned on the training versions",
    "psnr": "sees the pristine image too",
    "ssim": "sees the pristine image too",
    "severity_oracle": "told distortion and severity, not shown the image",
    "single_confidence": "asks the most accurate label worker, not told the right class",
    "label_confidence": "asks all label workers, not told the right class",
}
"""The baselines of a run, and what each one knows."""

IMAGE_ALONE = ("laplacian_variance", "jpeg_size", "brisque_trees")
"""The baselines that know no more than the metrifier does."""

_UNDEFINED = Estimate(None, None, None)
_UNDETECTED = FailureDetection(_UNDEFINED, _UNDEFINED, (_UNDEFINED,) * len(DISCARDED))

Json = dict[str, Any]


def evaluate_predictors(
    predictors: Mapping[str, NDArray[np.float64]],
    tcp: Mapping[str, NDArray[np.float64]],
    right: Mapping[str, NDArray[np.bool_]],
    image_id: NDArray[np.generic],
    distortion: NDArray[np.generic],
    severity: NDArray[np.integer],
    *,
    replicates: int,
    seed: int,
) -> Json:
    """Judges predictors by held-out workers; see docs/evaluation.md for what each number says.

    All predictors are judged on the same rows and all intervals are of the same draws. One that is NaN anywhere could
    only be judged on other rows than the rest: all of its numbers are None.

    Args:
        predictors: `METRIFIER` and `CEILING`, the label, both in [0, 1], and the baselines by name, each (N,), higher
            for better quality.
        tcp: Of each held-out worker, its true-class probabilities, (N,).
        right: Of the same workers, whether each answer is right, (N,).
        image_id: Source image of each version, (N,).
        distortion: Of each version, strings (N,).
        severity: Of each version, (N,); 0 is pristine.
        replicates: Number of bootstrap replicates.
        seed: Of the bootstrap.

    Returns:
        What stands in `metrics.json`; None stands for what is undefined.

        - `rows`, `sources`: how many versions, of how many source images.
        - `workers`: for each held-out worker and their mean, at each of `LEVELS` the metrifier's `rho`, `low`, `high`,
          the `ceiling` and the `share` of it; `auroc` and `augrc`, each `value`, `low`, `high` and `ceiling`; and
          `discard`: for every predictor `error`, `low` and `high`, lists as long as `discarded`.
        - `ceiling`: for each of these targets `rho`, `low`, `high` at each level, `value`, `low`, `high` of `auroc` and
          `augrc`.
        - `baselines`: the same for each baseline.
        - `leads`: for each baseline `value`, `low`, `high` of how much higher the metrifier's global correlation with
          the held-out workers' mean is, on the same draws.
        - `conditions`: a list, for each `distortion` and `severity` its `rows`, and for the held-out workers' mean the
          metrifier's `rho`, `low`, `high`, the `ceiling` and the `share` of it.
        - `calibration`: `error` with `value`, `low`, `high`, and `bins` with `low`, `high`, `count`, `mean_predicted`
          and `mean_quality`.
        - `discarded`: the shares that are discarded.
    """
    complete = {name: score for name, score in predictors.items() if not np.isnan(score).any()}
    targets = {**tcp, MEAN: np.mean(list(tcp.values()), axis=0)}

    def draws() -> dict[str, Any]:
        return {"replicates": replicates, "rng": np.random.default_rng(seed)}

    condition = np.array([f"{name} {level}" for name, level in zip(distortion, severity, strict=True)])
    ranked = rank_correlations(complete, targets, image_id, condition, **draws())
    detected = failure_detection(complete, right, image_id, **draws())
    own, label = predictors[METRIFIER], predictors[CEILING]
    calibrated = calibration(own, label, image_id, **draws())
    conditions = condition_correlations(own, label, targets[MEAN], image_id, distortion, severity, **draws())

    baselines = [name for name in predictors if name not in {METRIFIER, CEILING}]
    rivals = {name: complete[name] for name in baselines if name in complete}
    leads = correlation_margins(own, rivals, targets[MEAN], image_id, **draws())

    def ranks(name: str, target: str) -> Mapping[str, Estimate]:
        return ranked[target].get(name, dict.fromkeys(LEVELS, _UNDEFINED))

    def detection(name: str, target: str) -> FailureDetection:
        return detected[target].get(name, _UNDETECTED)

    def describe(name: str, target: str) -> Json:
        levels = {level: _correlation(found) for level, found in ranks(name, target).items()}
        found = detection(name, target)
        return {**levels, "auroc": asdict(found.auroc), "augrc": asdict(found.augrc)}

    def describe_metrifier(target: str) -> Json:
        own, ceiling = describe(METRIFIER, target), describe(CEILING, target)
        return {
            **{level: _beside_ceiling(own[level], ceiling[level]) for level in LEVELS},
            **{area: {**own[area], "ceiling": ceiling[area]["value"]} for area in ("auroc", "augrc")},
            "discard": {name: _curve(detection(name, target).discard) for name in predictors},
        }

    return {
        "rows": len(image_id),
        "sources": len(np.unique(image_id)),
        "workers": {target: describe_metrifier(target) for target in targets},
        "ceiling": {target: describe(CEILING, target) for target in targets},
        "baselines": {name: {target: describe(name, target) for target in targets} for name in baselines},
        "leads": {name: asdict(leads.get(name, _UNDEFINED)) for name in baselines},
        "conditions": [_condition(found) for found in conditions],
        "calibration": asdict(calibrated),
        "discarded": list(DISCARDED),
    }


def _correlation(estimate: Estimate) -> Json:
    return {"rho": estimate.value, "low": estimate.low, "high": estimate.high}


def _beside_ceiling(own: Json, ceiling: Json) -> Json:
    """Puts a correlation beside what the label workers themselves reach."""
    share = None
    # Of a ceiling that is no better than chance there is no share.
    if own["rho"] is not None and ceiling["rho"] is not None and ceiling["rho"] > 0:
        share = own["rho"] / ceiling["rho"]
    return {**own, "ceiling": ceiling["rho"], "share": share}


def _condition(found: ConditionCorrelation) -> Json:
    place = {"distortion": found.distortion, "severity": found.severity, "rows": found.rows}
    return {**place, **_beside_ceiling(_correlation(found.own), _correlation(found.ceiling))}


def _curve(points: Sequence[Estimate]) -> Json:
    return {
        "error": [point.value for point in points],
        "low": [point.low for point in points],
        "high": [point.high for point in points],
    }
