"""All that `metrics.json` holds of a metrifier, its ceiling and the baselines."""

import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from metrifier_core.statistics import (
    BASELINES,
    CEILING,
    DISCARDED,
    IMAGE_ALONE,
    LEVELS,
    METRIFIER,
    Estimate,
    Figure,
    Judgement,
    ScoredRows,
    estimate_metrics,
    evaluate_predictors,
    list_metrics,
)

IMAGES, CONDITIONS = 25, 6


@pytest.fixture(scope="module")
def columns() -> dict[str, Any]:
    """Two workers that see quality with noise; predictors that know it well, less well, and not on every row."""
    rng = np.random.default_rng(0)
    image, condition = (index.ravel() for index in np.indices((IMAGES, CONDITIONS)))
    quality = np.clip(1 - condition / CONDITIONS * rng.uniform(0.5, 1, IMAGES)[image], 0, 1)

    def noisy(sigma: float) -> Any:
        return np.clip(quality + rng.normal(0, sigma, quality.size), 0, 1)

    tcp = {"vit": noisy(0.1), "swin": noisy(0.2)}
    psnr = noisy(0.2)
    return {
        "predictors": {
            METRIFIER: noisy(0.1),
            CEILING: quality,
            "jpeg_size": noisy(1),
            "psnr": np.where(image == 3, np.nan, psnr),
        },
        "tcp": tcp,
        "right": {name: values > 0.5 for name, values in tcp.items()},
        "image_id": image.astype(str),
        "distortion": np.array(["pristine", "jpeg"])[(condition > 0).astype(int)],
        "severity": condition,
    }


@pytest.fixture(scope="module")
def metrics(columns: dict[str, Any]) -> Judgement:
    return evaluate_predictors(**columns, replicates=40, seed=7)


def test_it_counts_and_has_every_predictor_for_every_target(metrics: Judgement) -> None:
    assert (metrics.rows, metrics.sources) == (IMAGES * CONDITIONS, IMAGES)
    targets = ["vit", "swin", "mean"]
    assert list(metrics.workers) == list(metrics.ceiling) == list(metrics.discard) == targets
    assert list(metrics.baselines) == ["jpeg_size", "psnr"]
    for by_target in metrics.baselines.values():
        assert list(by_target) == targets
        assert all(list(found) == [*LEVELS, "auroc", "augrc"] for found in by_target.values())
    for found in metrics.discard.values():
        assert list(found) == [METRIFIER, CEILING, "jpeg_size", "psnr"]
        assert all(len(points) == len(DISCARDED) for points in found.values())
    assert metrics.discarded == DISCARDED


def test_numbers_are_those_of_the_definitions(metrics: Judgement, columns: dict[str, Any]) -> None:
    predictors, right = columns["predictors"], columns["right"]
    mean = np.mean(list(columns["tcp"].values()), axis=0)
    places = columns["image_id"], np.char.add(columns["distortion"], columns["severity"].astype(str))
    rows = ScoredRows({"own": predictors[METRIFIER]}, {"mean of both": mean}, {}, mean, *places)
    ranked = estimate_metrics(rows, LEVELS, replicates=40, seed=7)["mean of both"]["own"]
    for level in LEVELS:
        found = metrics.workers["mean"][level]
        assert Estimate(value=found.value, low=found.low, high=found.high) == ranked[level]
        assert found.ceiling == metrics.ceiling["mean"][level].value
        assert found.share == pytest.approx(found.value / found.ceiling)
    areas = [roc_auc_score(right[name], predictors["jpeg_size"]) for name in right]
    assert metrics.baselines["jpeg_size"]["vit"]["auroc"].value == pytest.approx(areas[0])
    assert metrics.baselines["jpeg_size"]["mean"]["auroc"].value == pytest.approx(np.mean(areas))
    own, discard = metrics.workers["swin"], metrics.discard
    assert own["auroc"].ceiling == pytest.approx(roc_auc_score(right["swin"], predictors[CEILING]))
    assert own["augrc"].ceiling == metrics.ceiling["swin"]["augrc"].value
    assert discard["swin"][METRIFIER][0].value == pytest.approx(1 - right["swin"].mean())
    of_workers = [discard[name][METRIFIER][4].value for name in right]
    assert discard["mean"][METRIFIER][4].value == pytest.approx(np.mean(of_workers))
    assert metrics.label["calibration_error"].value > 0


def test_every_condition_stands_beside_its_ceiling(metrics: Judgement) -> None:
    conditions = metrics.conditions
    places = [(found.distortion, found.severity, found.rows) for found in conditions]
    assert places == [*(("jpeg", severity, IMAGES) for severity in range(1, CONDITIONS)), ("pristine", 0, IMAGES)]
    for found in conditions[:-1]:
        assert found.low <= found.value <= found.high
        assert found.share == pytest.approx(found.value / found.ceiling)
    # Of the pristine versions the label is 1 and ranks none of them.
    assert (conditions[-1].ceiling, conditions[-1].share) == (0, None)
    mean = metrics.workers["mean"]["within_condition"]
    assert np.mean([found.value for found in conditions]) == pytest.approx(mean.value)
    assert np.mean([found.ceiling for found in conditions]) == pytest.approx(mean.ceiling)


def test_margins_are_differences_on_the_same_draws(metrics: Judgement) -> None:
    margins = metrics.margins["jpeg_size"]
    assert list(margins) == [metric.name for metric in list_metrics("workers")]
    for name, margin in margins.items():
        own, rival = metrics.workers["mean"][name], metrics.baselines["jpeg_size"]["mean"][name]
        assert margin.value == pytest.approx(own.value - rival.value)
        assert margin.low < margin.value < margin.high
    own, rival = metrics.workers["mean"]["global"], metrics.baselines["jpeg_size"]["mean"]["global"]
    # What is hard for both is no difference between them.
    assert margins["global"].high - margins["global"].low < (own.high - own.low) + (rival.high - rival.low)


def test_a_baseline_that_is_undefined_somewhere_has_no_numbers(metrics: Judgement) -> None:
    for found in metrics.baselines["psnr"].values():
        assert found == dict.fromkeys((*LEVELS, "auroc", "augrc"), Figure())
    assert metrics.discard["mean"]["psnr"] == (Estimate(),) * len(DISCARDED)
    assert set(metrics.margins["psnr"].values()) == {Estimate()}


def test_the_others_do_not_depend_on_it(metrics: Judgement, columns: dict[str, Any]) -> None:
    predictors = {name: score for name, score in columns["predictors"].items() if name != "psnr"}
    alone = evaluate_predictors(**columns | {"predictors": predictors}, replicates=40, seed=7)
    assert alone.ceiling == metrics.ceiling
    assert alone.baselines["jpeg_size"] == metrics.baselines["jpeg_size"]


def test_a_ceiling_no_better_than_chance_has_no_share(columns: dict[str, Any]) -> None:
    turned = columns["predictors"] | {CEILING: 1 - columns["predictors"][CEILING]}
    found = evaluate_predictors(**columns | {"predictors": turned}, replicates=2, seed=0).workers["mean"]["global"]
    assert found.ceiling < 0
    assert found.share is None


def test_it_is_json(metrics: Judgement) -> None:
    text = metrics.model_dump_json()
    assert json.loads(json.dumps(json.loads(text), allow_nan=False)) == json.loads(text)
    assert Judgement.model_validate_json(text) == metrics


def test_baselines_say_what_they_know() -> None:
    assert len(BASELINES) == 8
    assert set(IMAGE_ALONE) == {name for name, known in BASELINES.items() if "only the image" in known}
    assert all(text and text[0].islower() for text in BASELINES.values())
