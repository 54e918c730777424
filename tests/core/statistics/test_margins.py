"""How far one score ranks better than others."""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import spearmanr

from metrifier_core.statistics import CEILING, METRIFIER, ScoredRows, estimate_metrics, evaluate_predictors

IMAGES, VERSIONS = 300, 5


def make_columns(own_noise: float, other_noise: float, shared: float) -> dict[str, Any]:
    """Two noisy copies of a target, which share a part of their noise."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=IMAGES * VERSIONS)
    both = rng.normal(0, shared, target.size)
    own, other = (target + both + rng.normal(0, noise, target.size) for noise in (own_noise, other_noise))
    return {"own": own, "other": other, "target": target, "image_id": np.repeat(np.arange(IMAGES), VERSIONS)}


def margins(columns: dict[str, Any], *baselines: str) -> Any:
    """Return the metrifier's margins, whose predictions are brought into [0, 1], in their order."""
    own, target = expit(columns["own"]), columns["target"]
    predictors = {METRIFIER: own, CEILING: own, **{name: columns[name] for name in baselines}}
    distortion, severity = np.full(target.size, "jpeg"), np.ones(target.size, np.int64)
    answers = {"worker": target}, {"worker": target > 0}
    places = columns["image_id"], distortion, severity
    return evaluate_predictors(predictors, *answers, *places, replicates=200, seed=1).margins


def lead(columns: dict[str, Any]) -> Any:
    return margins(columns, "other")["other"]["global"]


@pytest.mark.parametrize(("own_noise", "other_noise"), [(0.5, 2.0), (2.0, 0.5)])
def test_it_is_the_difference_of_both_with_an_interval_around_it(own_noise: float, other_noise: float) -> None:
    columns = make_columns(own_noise, other_noise, shared=0)
    own, other = (spearmanr(columns[name], columns["target"]).statistic for name in ("own", "other"))
    found = lead(columns)
    assert found.value == pytest.approx(own - other)
    assert found.low < found.value < found.high
    assert (found.low > 0) == (own_noise < other_noise)
    assert (found.high < 0) == (own_noise > other_noise)


def test_it_tells_apart_what_errs_together_although_the_intervals_of_both_overlap() -> None:
    columns = make_columns(0.1, 0.9, shared=2.0)
    scores = {name: columns[name] for name in ("own", "other")}
    places = columns["image_id"], np.arange(VERSIONS).repeat(IMAGES)
    rows = ScoredRows(scores, {"target": columns["target"]}, {}, columns["target"], *places)
    both = estimate_metrics(rows, ["global"], replicates=200, seed=1)["target"]
    assert both["own"]["global"].low < both["other"]["global"].high
    assert lead(columns).low > 0


def test_it_is_undefined_without_a_target_to_rank_and_has_no_interval_without_draws() -> None:
    columns = make_columns(1, 1, 0)
    constant = lead(columns | {"target": np.ones(IMAGES * VERSIONS)})
    assert (constant.value, constant.low, constant.high) == (None, None, None)
    alone = lead(columns | {"image_id": np.zeros(IMAGES * VERSIONS)})
    assert alone.value is not None
    assert alone.low is None
    assert margins(columns) == {}
