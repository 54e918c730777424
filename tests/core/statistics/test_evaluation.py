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
    evaluate_predictors,
    rank_correlations,
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
def metrics(columns: dict[str, Any]) -> dict[str, Any]:
    return evaluate_predictors(**columns, replicates=40, seed=7)


def test_it_counts_and_has_every_predictor_for_every_target(metrics: dict[str, Any]) -> None:
    assert (metrics["rows"], metrics["sources"]) == (IMAGES * CONDITIONS, IMAGES)
    targets = ["vit", "swin", "mean"]
    assert list(metrics["workers"]) == list(metrics["ceiling"]) == targets
    assert list(metrics["baselines"]) == ["jpeg_size", "psnr"]
    for by_target in metrics["baselines"].values():
        assert list(by_target) == targets
        assert all(list(found) == [*LEVELS, "auroc", "augrc"] for found in by_target.values())
    for found in metrics["workers"].values():
        assert list(found["discard"]) == [METRIFIER, CEILING, "jpeg_size", "psnr"]
        assert all(len(found["discard"][METRIFIER][key]) == len(DISCARDED) for key in ("error", "low", "high"))
    assert metrics["discarded"] == list(DISCARDED)


def test_numbers_are_those_of_the_definitions(metrics: dict[str, Any], columns: dict[str, Any]) -> None:
    predictors, right = columns["predictors"], columns["right"]
    mean = np.mean(list(columns["tcp"].values()), axis=0)
    rng = np.random.default_rng(7)
    places = columns["image_id"], np.char.add(columns["distortion"], columns["severity"].astype(str))
    ranked = rank_correlations({"own": predictors[METRIFIER]}, {"mean": mean}, *places, replicates=40, rng=rng)
    for level in LEVELS:
        found, expected = metrics["workers"]["mean"][level], ranked["mean"]["own"][level]
        assert (found["rho"], found["low"], found["high"]) == (expected.value, expected.low, expected.high)
        assert found["ceiling"] == metrics["ceiling"]["mean"][level]["rho"]
        assert found["share"] == pytest.approx(found["rho"] / found["ceiling"])
    areas = [roc_auc_score(right[name], predictors["jpeg_size"]) for name in right]
    assert metrics["baselines"]["jpeg_size"]["vit"]["auroc"]["value"] == pytest.approx(areas[0])
    assert metrics["baselines"]["jpeg_size"]["mean"]["auroc"]["value"] == pytest.approx(np.mean(areas))
    own = metrics["workers"]["swin"]
    assert own["auroc"]["ceiling"] == pytest.approx(roc_auc_score(right["swin"], predictors[CEILING]))
    assert own["augrc"]["ceiling"] == metrics["ceiling"]["swin"]["augrc"]["value"]
    assert own["discard"][METRIFIER]["error"][0] == pytest.approx(1 - right["swin"].mean())
    assert metrics["calibration"]["error"]["value"] > 0


def test_every_condition_stands_beside_its_ceiling(metrics: dict[str, Any]) -> None:
    conditions = metrics["conditions"]
    places = [(found["distortion"], found["severity"], found["rows"]) for found in conditions]
    assert places == [*(("jpeg", severity, IMAGES) for severity in range(1, CONDITIONS)), ("pristine", 0, IMAGES)]
    for found in conditions[:-1]:
        assert found["low"] <= found["rho"] <= found["high"]
        assert found["share"] == pytest.approx(found["rho"] / found["ceiling"])
    # Of the pristine versions the label is 1 and ranks none of them.
    assert (conditions[-1]["ceiling"], conditions[-1]["share"]) == (0, None)
    mean = metrics["workers"]["mean"]["within_condition"]
    assert np.mean([found["rho"] for found in conditions]) == pytest.approx(mean["rho"])
    assert np.mean([found["ceiling"] for found in conditions]) == pytest.approx(mean["ceiling"])


def test_leads_are_differences_of_correlations_on_the_same_draws(metrics: dict[str, Any]) -> None:
    lead, rival = metrics["leads"]["jpeg_size"], metrics["baselines"]["jpeg_size"]["mean"]["global"]
    own = metrics["workers"]["mean"]["global"]
    assert lead["value"] == pytest.approx(own["rho"] - rival["rho"])
    assert lead["low"] < lead["value"] < lead["high"]
    # What is hard for both is no difference between them.
    assert lead["high"] - lead["low"] < (own["high"] - own["low"]) + (rival["high"] - rival["low"])


def test_a_baseline_that_is_undefined_somewhere_has_no_numbers(metrics: dict[str, Any]) -> None:
    nowhere = {"low": None, "high": None}
    for found in metrics["baselines"]["psnr"].values():
        assert all(found[level] == {"rho": None, **nowhere} for level in LEVELS)
        assert found["auroc"] == found["augrc"] == {"value": None, **nowhere}
    assert metrics["workers"]["mean"]["discard"]["psnr"]["error"] == [None] * len(DISCARDED)
    assert metrics["leads"]["psnr"] == {"value": None, **nowhere}


def test_the_others_do_not_depend_on_it(metrics: dict[str, Any], columns: dict[str, Any]) -> None:
    predictors = {name: score for name, score in columns["predictors"].items() if name != "psnr"}
    alone = evaluate_predictors(**columns | {"predictors": predictors}, replicates=40, seed=7)
    assert alone["ceiling"] == metrics["ceiling"]
    assert alone["baselines"]["jpeg_size"] == metrics["baselines"]["jpeg_size"]


def test_a_ceiling_no_better_than_chance_has_no_share(columns: dict[str, Any]) -> None:
    turned = columns["predictors"] | {CEILING: 1 - columns["predictors"][CEILING]}
    found = evaluate_predictors(**columns | {"predictors": turned}, replicates=2, seed=0)["workers"]["mean"]["global"]
    assert found["ceiling"] < 0
    assert found["share"] is None


def test_it_is_json(metrics: dict[str, Any]) -> None:
    assert json.loads(json.dumps(metrics, allow_nan=False)) == json.loads(json.dumps(metrics))


def test_baselines_say_what_they_know() -> None:
    assert len(BASELINES) == 8
    assert set(IMAGE_ALONE) == {name for name, known in BASELINES.items() if "the image alone" in known}
    assert all(text and text[0].islower() for text in BASELINES.values())
