"""Rank correlations at every single distortion and severity."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import spearmanr

from metrifier_core.statistics import CEILING, METRIFIER, Condition, evaluate_predictors


def make_columns(images: int, severities: int, seed: int) -> dict[str, Any]:
    """Return a version of every image at each severity of two distortions, with scores that know the target in part."""
    rng = np.random.default_rng(seed)
    image, distortion, severity = (index.ravel() for index in np.indices((images, 2, severities)))
    target = rng.uniform(size=image.size)
    return {
        "predicted": target + rng.normal(0, 0.5, image.size),
        "label": target + rng.normal(0, 0.1, image.size),
        "target": target,
        "image_id": image.astype(str),
        "distortion": np.array(["jpeg", "fog"])[distortion],
        "severity": severity + 1,
    }


def judge(columns: dict[str, Any], replicates: int = 20) -> tuple[Condition, ...]:
    """Return the conditions of predictions and labels that are brought into [0, 1], in their order."""
    predictors = {METRIFIER: expit(columns["predicted"]), CEILING: expit(columns["label"])}
    tcp, places = columns["target"], [columns[name] for name in ("image_id", "distortion", "severity")]
    answers = {"worker": tcp}, {"worker": tcp > 0.5}
    return evaluate_predictors(predictors, *answers, *places, replicates=replicates, seed=0).conditions


@given(images=st.integers(3, 12), severities=st.integers(1, 3), seed=st.integers(0, 9))
def test_each_is_scipys_spearman_on_the_rows_of_its_condition(images: int, severities: int, seed: int) -> None:
    columns = make_columns(images, severities, seed)
    found = judge(columns, replicates=1)
    assert [one.distortion for one in found] == ["fog"] * severities + ["jpeg"] * severities
    for one in found:
        own = (columns["distortion"] == one.distortion) & (columns["severity"] == one.severity)
        assert one.rows == own.sum() == images
        for value, score in ((one.value, columns["predicted"]), (one.ceiling, columns["label"])):
            assert value == pytest.approx(spearmanr(score[own], columns["target"][own]).statistic)


def test_the_order_of_rows_does_not_matter() -> None:
    columns = make_columns(9, 3, 1)
    order = np.random.default_rng(2).permutation(9 * 2 * 3)
    assert judge({name: column[order] for name, column in columns.items()}) == judge(columns)


def test_intervals_narrow_with_more_images() -> None:
    few, many = (judge(make_columns(images, 1, 3), replicates=200)[0] for images in (15, 300))
    for own in (few, many):
        assert own.low < own.value < own.high
    assert many.high - many.low < (few.high - few.low) / 2


def test_what_ranks_nothing_counts_as_0_and_what_cannot_be_ranked_is_undefined() -> None:
    columns = make_columns(5, 2, 4)
    fog, worst = columns["distortion"] == "fog", columns["severity"] == 2
    columns["predicted"] = np.where(fog & ~worst, 0.5, columns["predicted"])
    columns["target"] = np.where(fog & worst, 0.5, columns["target"])
    kept = fog | ~worst | np.isin(columns["image_id"], ["0", "1"])
    constant_score, constant_target, _, two_rows = judge({name: column[kept] for name, column in columns.items()})
    assert constant_score.value == 0
    assert constant_score.ceiling > 0.5
    assert constant_target.value is constant_target.ceiling is None
    assert (two_rows.rows, two_rows.value, two_rows.low) == (2, None, None)
