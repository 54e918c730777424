"""Two predictors on the same draws: the figures are those of each alone, and the sign says who is better."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from metrifier_core.statistics import (
    MEAN,
    Draw,
    Estimate,
    PairedDifference,
    ScoredRows,
    estimate_metrics,
    list_metrics,
    paired_differences,
)
from metrifier_core.statistics.standard_metrics import calibration_error

IMAGES, VERSIONS = 40, 6
PAIRED = [metric.name for metric in list_metrics()]
WORKERS = [metric.name for metric in list_metrics("workers")]
ROWS = IMAGES * VERSIONS
IMAGE_ID = np.repeat([f"image {index}" for index in range(IMAGES)], VERSIONS)
CONDITION = np.tile([f"blur {severity}" for severity in range(VERSIONS)], IMAGES)


def make_truth(seed: int) -> dict[str, NDArray[np.generic]]:
    rng = np.random.default_rng(seed)
    quality = np.clip(rng.uniform(size=ROWS) * np.tile(np.linspace(1, 0.3, VERSIONS), IMAGES), 0, 1)
    tcp = np.clip(quality + rng.normal(0, 0.1, (2, ROWS)), 0, 1)
    return {"quality": quality, "tcp": tcp, "right": tcp > 0.4}


def compare(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    truth: dict[str, NDArray[np.generic]],
    replicates: int = 200,
) -> dict[str, PairedDifference]:
    rows = make_rows({"first": first, "second": second}, truth)
    return paired_differences(rows, replicates=replicates, seed=3)


def make_rows(scores: dict[str, NDArray[np.float64]], truth: dict[str, NDArray[np.generic]]) -> ScoredRows:
    tcp, right = (dict(zip("ab", truth[name], strict=True)) for name in ("tcp", "right"))
    return ScoredRows(scores, tcp, right, truth["quality"], IMAGE_ID, CONDITION)  # type: ignore[arg-type]


def blur(quality: NDArray[np.float64], noise: float, seed: int) -> NDArray[np.float64]:
    return np.clip(quality + np.random.default_rng(seed).normal(0, noise, len(quality)), 0, 1)


def test_each_figure_is_that_of_the_predictor_alone() -> None:
    truth = make_truth(0)
    first, second = blur(truth["quality"], 0.1, 1), blur(truth["quality"], 0.5, 2)
    found = compare(first, second, truth, replicates=1)
    assert list(found) == PAIRED == [*WORKERS, "calibration_error"]
    for index, score in enumerate((first, second)):
        values = {name: (found[name].first, found[name].second)[index] for name in PAIRED}
        rows = make_rows({"own": score}, truth)
        estimates = estimate_metrics(rows, WORKERS, replicates=1, seed=3)[MEAN]["own"]
        alone = [estimates[name].value for name in WORKERS] + calibration_error(Draw(rows, np.ones(IMAGES))).tolist()
        assert list(values.values()) == pytest.approx(alone)


def test_the_better_one_is_named_whichever_way_is_better() -> None:
    truth = make_truth(1)
    good, poor = blur(truth["quality"], 0.05, 1), blur(truth["quality"], 1, 2)
    for first, second, better in ((good, poor, "first"), (poor, good, "second")):
        found = compare(first, second, truth)
        assert {name: difference.better for name, difference in found.items()} == dict.fromkeys(PAIRED, better)
    assert compare(good, poor, truth)["global"].difference.low > 0
    assert compare(good, poor, truth)["calibration_error"].difference.high < 0


def test_a_pair_shows_what_two_intervals_would_hide() -> None:
    truth = make_truth(2)
    noisy = blur(truth["quality"], 0.1, 1)
    slightly_worse = np.clip(noisy + np.random.default_rng(5).normal(0, 0.1, ROWS), 0, 1)
    found = compare(noisy, slightly_worse, truth)["global"]
    assert found.better == "first"
    rows = make_rows({"noisy": noisy, "worse": slightly_worse}, truth)
    alone = estimate_metrics(rows, ["global"], replicates=200, seed=3)[MEAN]
    assert alone["worse"]["global"].high > alone["noisy"]["global"].low, "side by side they overlap"


@given(seed=st.integers(0, 2**16), noise=st.floats(0.01, 1))
@settings(max_examples=15)
def test_turned_round_every_difference_is_its_negative(seed: int, noise: float) -> None:
    truth = make_truth(seed)
    first, second = blur(truth["quality"], noise, seed), blur(truth["quality"], 0.3, seed + 1)
    one, other = (compare(*pair, truth, replicates=20) for pair in ((first, second), (second, first)))
    for name in PAIRED:
        assert one[name].difference.value == -other[name].difference.value
        assert one[name].difference.low == pytest.approx(-other[name].difference.high, abs=1e-12)


def test_the_same_predictor_twice_differs_by_nothing() -> None:
    truth = make_truth(4)
    for difference in compare(truth["quality"], truth["quality"], truth).values():
        assert (difference.difference.low, difference.difference.high) == (0, 0)
        assert difference.better is None


def test_what_is_undefined_stays_so() -> None:
    truth = make_truth(5) | {"right": np.ones((2, ROWS), bool)}
    found = compare(blur(truth["quality"], 0.1, 1), truth["quality"], truth, replicates=20)
    assert found["auroc"] == PairedDifference(first=None, second=None, difference=Estimate(), better=None)
    assert found["global"].better == "second"
