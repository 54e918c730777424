"""How well scores tell where workers are right, with intervals by source image."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from metrifier_core.statistics import DISCARDED, Draw, Estimate, ScoredRows, discard_errors, estimate_metrics

UNDEFINED = Estimate()


def make_right(seed: int = 0, images: int = 8, versions: int = 6) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Two scores, two workers of which the second is right more often, and the source image of each row."""
    rng = np.random.default_rng(seed)
    image = np.repeat(np.arange(images), versions)
    quality = rng.normal(size=images)[image] + rng.normal(size=image.size)
    scores = {"good": np.round(quality + rng.normal(0, 0.5, image.size), 1), "noise": rng.normal(size=image.size)}
    workers = {
        "first": quality + rng.normal(0, 0.3, image.size) > 0,
        "second": quality + rng.normal(0, 0.3, image.size) > -0.7,
    }
    return scores, workers, image


def make_rows(
    scores: dict[str, NDArray[np.float64]], right: dict[str, NDArray[np.bool_]], image: NDArray[np.generic]
) -> ScoredRows:
    return ScoredRows(scores, dict.fromkeys(right, np.zeros(len(image))), right, np.zeros(len(image)), image, image)


def detect(
    scores: dict[str, NDArray[np.float64]], right: dict[str, NDArray[np.bool_]], image: Any, replicates: int = 30
) -> dict[str, dict[str, dict[str, Estimate]]]:
    rows = make_rows(scores, right, image)
    return estimate_metrics(rows, ["auroc", "augrc"], replicates=replicates, seed=5)


def test_the_interval_is_that_of_the_rows_of_the_drawn_images() -> None:
    scores, right, image = make_right()
    rng = np.random.default_rng(5)
    draws = [rng.integers(8, size=8) for _ in range(30)]
    areas = [
        [
            roc_auc_score(answers[rows], scores["good"][rows])
            for rows in (np.concatenate([np.flatnonzero(image == one) for one in drawn]) for drawn in draws)
        ]
        for answers in right.values()
    ]
    found = detect(scores, right, image)
    for name, own in zip((*right, "mean"), (*areas, np.mean(areas, axis=0)), strict=True):
        auroc = found[name]["good"]["auroc"]
        assert (auroc.low, auroc.high) == pytest.approx(tuple(np.quantile(own, [0.025, 0.975])), abs=1e-12)


def test_the_mean_is_that_of_the_workers() -> None:
    scores, right, image = make_right()
    found = detect(scores, right, image)
    assert list(found) == ["first", "second", "mean"]
    for score in scores:
        first, second, mean = (found[name][score] for name in found)
        for statistic in ("auroc", "augrc"):
            values = [of[statistic].value for of in (first, second)]
            assert mean[statistic].value == pytest.approx(np.mean(values))
    assert len(DISCARDED) == 11


def test_a_score_that_knows_something_is_told_from_noise() -> None:
    found = detect(*make_right(images=60), replicates=200)["mean"]
    good, noise = found["good"], found["noise"]
    assert good["auroc"].low is not None
    assert good["auroc"].low > 0.7
    assert noise["auroc"].low is not None
    assert noise["auroc"].high is not None
    assert noise["auroc"].low < 0.5 < noise["auroc"].high
    assert good["augrc"].value is not None
    assert noise["augrc"].value is not None
    assert good["augrc"].value < noise["augrc"].value


def test_the_error_rate_falls_the_more_a_good_score_discards() -> None:
    rows = make_rows(*make_right(images=60))
    good, _ = discard_errors(Draw(rows, np.ones(60)))
    assert good.shape == (2, len(DISCARDED))
    assert good.mean(axis=0).tolist() == sorted(good.mean(axis=0), reverse=True)
    assert good[:, 0] == pytest.approx(1 - rows.right_rows.mean(axis=1))


def test_a_worker_that_is_always_right_is_left_out_of_the_mean_auroc_alone() -> None:
    scores, right, image = make_right()
    right["second"] = np.ones(image.size, dtype=np.bool_)
    found = detect(scores, right, image)
    assert found["second"]["good"]["auroc"] == UNDEFINED
    assert found["second"]["good"]["augrc"] == Estimate(value=0.0, low=0.0, high=0.0)
    assert found["mean"]["good"]["auroc"] == found["first"]["good"]["auroc"]
    first = found["first"]["good"]["augrc"].value
    assert first is not None
    assert found["mean"]["good"]["augrc"].value == pytest.approx(first / 2)


def test_where_no_worker_ever_errs_the_mean_is_undefined_too() -> None:
    scores, right, image = make_right()
    found = detect(scores, dict.fromkeys(right, np.ones(image.size, dtype=np.bool_)), image)
    assert found["mean"]["good"]["auroc"] == UNDEFINED


def test_a_draw_that_leaves_the_area_undefined_is_left_out() -> None:
    # All errors are in one image: draws without it, and of it alone, have no AUROC.
    image, right = np.repeat([0, 1], 3), np.array([True, False, True, True, True, True])
    auroc = detect({"score": np.array([2, 1, 3, 3, 3, 3.0])}, {"worker": right}, image)["worker"]["score"]["auroc"]
    assert auroc == Estimate(value=1.0, low=1.0, high=1.0)


def test_one_source_image_has_no_interval() -> None:
    scores, right, image = make_right(images=1, versions=20)
    auroc = detect(scores, right, image)["first"]["good"]["auroc"]
    assert auroc.value is not None
    assert (auroc.low, auroc.high) == (None, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": {"sharp": np.array([0.1, np.nan, 0.2])}}, "score 'sharp': contains NaN"),
        ({"scores": {"sharp": np.zeros(2)}}, r"score 'sharp': expected .* \(3,\), got \(2,\)"),
        ({"right": {"vit": np.ones(4, dtype=bool)}}, r"answers of 'vit': expected .* \(3,\), got \(4,\)"),
        ({"replicates": 0}, "at least 1 bootstrap replicate, got 0"),
    ],
)
def test_bad_input_is_refused_with_a_reason(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {
        "scores": {"sharp": np.zeros(3)},
        "right": {"vit": np.array([True, False, True])},
        "image": np.arange(3),
        "replicates": 1,
    }
    with pytest.raises(ValueError, match=message):
        detect(**good | change)
