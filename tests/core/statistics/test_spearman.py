from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import spearmanr

from metrifier_core.statistics import (
    LEVELS,
    Estimate,
    ScoredRows,
    SeverityOracle,
    estimate_metrics,
    jpeg_size,
    laplacian_variance,
)

UNDEFINED = Estimate()
ZERO, PERFECT = (Estimate(value=value, low=value, high=value) for value in (0.0, 1.0))
seeds = st.integers(0, 2**32 - 1)


class Table(NamedTuple):
    scores: dict[str, NDArray[np.float64]]
    target: NDArray[np.float64]
    image_id: NDArray[np.str_]
    condition: NDArray[np.str_]


def make_table(seed: int, *, images: int = 7, conditions: int = 5, values: int = 6) -> Table:
    """Return a ragged table of versions with many ties: few values, some versions missing."""
    rng = np.random.default_rng(seed)
    image, condition = (index.ravel() for index in np.indices((images, conditions)))
    kept = rng.permutation(image.size)[: rng.integers(image.size // 3, image.size + 1)]
    target = rng.integers(values, size=kept.size).astype(np.float64)
    scores = {
        "related": target + rng.integers(values, size=kept.size),
        "unrelated": rng.integers(values, size=kept.size).astype(np.float64),
        "constant": np.full(kept.size, 0.3),
    }
    return Table(scores, target, image[kept].astype(str), condition[kept].astype(str))


def rank_correlations(
    scores: dict[str, NDArray[np.float64]],
    targets: dict[str, NDArray[np.float64]],
    image_id: NDArray[np.generic],
    condition: NDArray[np.generic],
    replicates: int = 20,
    seed: int = 0,
) -> dict[str, dict[str, dict[str, Estimate]]]:
    rows = ScoredRows(scores, targets, {}, np.zeros(image_id.shape), image_id, condition)
    found = estimate_metrics(rows, LEVELS, replicates=replicates, seed=seed)
    return {target: found[target] for target in targets}


def correlate(table: Table, seed: int = 0, replicates: int = 20) -> dict[str, dict[str, Estimate]]:
    targets = {"target": table.target}
    return rank_correlations(table.scores, targets, table.image_id, table.condition, replicates, seed)["target"]


def naive_rho(score: NDArray[np.float64], target: NDArray[np.float64], versions: int) -> float:
    if versions < 3 or np.ptp(target) == 0:
        return np.nan
    return float(spearmanr(score, target).statistic) if np.ptp(score) > 0 else 0.0


def naive_levels(name: str, table: Table, drawn: NDArray[np.str_]) -> list[float]:
    """Return the three levels of the table that repeats the rows of every drawn image, by the book."""
    scores, target, image_id, condition = table
    rows = np.concatenate([np.flatnonzero(image_id == image) for image in drawn])

    def rho(chosen: NDArray[np.intp]) -> float:
        return naive_rho(scores[name][chosen], target[chosen], len(set(chosen)))

    of_images = [rho(np.flatnonzero(image_id == image)) for image in drawn]
    of_conditions = [rho(rows[condition[rows] == one]) for one in set(condition)]
    means = [np.mean([x for x in group if not np.isnan(x)] or np.nan) for group in (of_images, of_conditions)]
    return [rho(rows), *map(float, means)]


def test_global_is_scipys_spearman() -> None:
    rng = np.random.default_rng(0)
    target, score = rng.random(200), rng.random(200).round(1)
    table = Table({"score": score}, target, np.arange(200).astype(str), np.full(200, "same"))
    estimates = correlate(table)["score"]
    assert estimates["global"].value == pytest.approx(spearmanr(score, target).statistic, abs=1e-12)
    assert estimates["within_condition"] == estimates["global"], "one condition is the whole table"
    assert estimates["within_image"] == UNDEFINED, "no image has three versions"


@given(seeds)
@settings(deadline=None, max_examples=30)
def test_the_weighted_bootstrap_is_the_naive_one(seed: int) -> None:
    table = make_table(seed)
    images = np.unique(table.image_id)
    rng = np.random.default_rng(seed)
    draws = [images, *(images[rng.integers(len(images), size=len(images))] for _ in range(10))]
    estimates = correlate(table, seed, replicates=10)
    for name in table.scores:
        naive = np.array([naive_levels(name, table, drawn) for drawn in draws])
        for level, (rho, *replicated) in zip(LEVELS, naive.T, strict=True):
            defined = [value for value in replicated if not np.isnan(value)]
            estimate = estimates[name][level]
            if np.isnan(rho):
                assert estimate == UNDEFINED
                continue
            assert estimate.value == pytest.approx(rho, abs=1e-12)
            interval = np.quantile(defined, [0.025, 0.975]) if defined else (None, None)
            assert (estimate.low, estimate.high) == pytest.approx(tuple(interval), abs=1e-12)


@given(seeds, st.sampled_from([np.exp, np.cbrt, lambda x: 3 * x - 7]))
@settings(deadline=None, max_examples=30)
def test_only_the_order_of_a_score_counts(seed: int, increasing: Callable[..., NDArray[np.float64]]) -> None:
    table = make_table(seed)
    transformed = {name: increasing(score) for name, score in table.scores.items()}
    assert correlate(table._replace(scores=transformed)) == correlate(table)


@given(seeds)
@settings(deadline=None, max_examples=30)
def test_a_negated_score_has_the_opposite_sign(seed: int) -> None:
    table = make_table(seed)
    estimates = correlate(table)
    negated = correlate(table._replace(scores={name: -score for name, score in table.scores.items()}))
    for name in table.scores:
        for level in LEVELS:
            estimate, opposite = estimates[name][level], negated[name][level]
            if estimate.value is None:
                assert opposite == UNDEFINED
                continue
            assert opposite.value == -estimate.value
            if estimate.low is not None and estimate.high is not None:
                assert (opposite.low, opposite.high) == pytest.approx((-estimate.high, -estimate.low))


@given(seeds)
@settings(deadline=None, max_examples=30)
def test_the_target_ranks_itself_perfectly(seed: int) -> None:
    table = make_table(seed)
    estimates = correlate(table._replace(scores={"target": table.target}))["target"]
    assert estimates["global"] == PERFECT
    for level in ("within_image", "within_condition"):
        assert estimates[level].value in {1.0, None}


@given(seeds)
@settings(deadline=None, max_examples=30)
def test_the_order_of_the_rows_does_not_matter(seed: int) -> None:
    table = make_table(seed)
    order = np.random.default_rng(seed).permutation(len(table.target))
    shuffled = Table(
        {name: score[order] for name, score in table.scores.items()},
        table.target[order],
        table.image_id[order],
        table.condition[order],
    )
    assert correlate(shuffled) == correlate(table)


def test_a_score_is_judged_alike_alone_and_among_others() -> None:
    table = make_table(1)
    alone = correlate(table._replace(scores={"related": table.scores["related"]}))
    assert alone["related"] == correlate(table)["related"]
    assert correlate(table._replace(scores={})) == {}


def test_a_target_is_judged_alike_alone_and_among_others() -> None:
    table = make_table(2)
    targets = {"first": table.target, "flat": np.ones(len(table.target)), "second": table.scores["related"]}

    def judge(chosen: dict[str, NDArray[np.float64]]) -> dict[str, dict[str, dict[str, Estimate]]]:
        return rank_correlations(table.scores, chosen, table.image_id, table.condition, seed=3)

    together = judge(targets)
    assert list(together) == ["first", "flat", "second"]
    for name, target in targets.items():
        assert judge({name: target}) == {name: together[name]}
    assert together["flat"]["related"]["global"] == UNDEFINED


def test_integer_names_and_infinite_scores_are_taken() -> None:
    image_id, condition = np.repeat(np.arange(4), 3), np.tile(np.arange(3), 4)
    target = np.tile([0.9, 0.5, 0.1], 4)
    psnr = np.tile([np.inf, 30.0, 12.0], 4)
    estimates = rank_correlations({"psnr": psnr}, {"target": target}, image_id, condition, 5)["target"]["psnr"]
    assert estimates["global"] == estimates["within_image"] == PERFECT
    assert estimates["within_condition"] == UNDEFINED, "the target is constant at every condition"


def test_images_and_conditions_that_say_nothing_are_left_out() -> None:
    image_id = np.array(["ranked"] * 3 + ["reversed"] * 3 + ["short"] * 2 + ["flat"] * 3)
    target = np.array([1, 2, 3, 1, 2, 3, 1, 2, 5, 5, 5], dtype=np.float64)
    score = np.array([1, 2, 3, 3, 2, 1, 1, 2, 1, 2, 3], dtype=np.float64)
    condition = np.arange(11).astype(str)
    estimates = correlate(Table({"score": score, "constant": np.zeros(11)}, target, image_id, condition))
    assert estimates["score"]["within_image"].value == pytest.approx(0.0), "mean of +1 and -1"
    assert estimates["constant"]["within_image"] == ZERO
    assert estimates["score"]["within_condition"] == UNDEFINED


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_too_few_rows_have_no_correlation(rows: int) -> None:
    column = np.arange(rows, dtype=np.float64)
    estimates = correlate(Table({"score": column}, column, column.astype(str), column.astype(str)))
    assert estimates["score"] == dict.fromkeys(LEVELS, UNDEFINED)


def test_a_constant_target_has_no_correlation() -> None:
    table = make_table(0)
    estimates = correlate(table._replace(target=np.ones_like(table.target)))
    assert estimates["related"] == dict.fromkeys(LEVELS, UNDEFINED)


def test_one_source_image_has_no_interval() -> None:
    column = np.arange(5.0)
    estimates = correlate(Table({"score": column}, column, np.full(5, "one"), column.astype(str)))["score"]
    assert estimates["global"] == estimates["within_image"] == Estimate(value=1.0)


def repeated_rows(seed: int, correlation: float) -> tuple[Table, Table]:
    """40 images of 6 identical rows each, and the same rows taken for 240 independent images."""
    rng = np.random.default_rng(seed)
    pairs = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], size=40)
    score, target = np.repeat(pairs, 6, axis=0).T
    same = np.full(240, "same")
    clustered = Table({"score": score}, target, np.repeat(np.arange(40), 6).astype(str), same)
    independent = Table({"score": score}, target, np.arange(240).astype(str), same)
    return clustered, independent


def test_intervals_cover_the_truth_only_if_images_are_drawn_whole() -> None:
    correlation, trials = 0.6, 40
    truth = 6 / np.pi * np.arcsin(correlation / 2)
    covered = np.zeros(2)
    for seed in range(trials):
        widths = []
        for index, table in enumerate(repeated_rows(seed, correlation)):
            estimate = correlate(table, seed, replicates=200)["score"]["global"]
            assert estimate.low is not None
            assert estimate.high is not None
            widths.append(estimate.high - estimate.low)
            covered[index] += estimate.low <= truth <= estimate.high
        assert widths[0] > 1.5 * widths[1]
    by_image, by_row = covered / trials
    assert by_image >= 0.85
    assert by_row <= 0.7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": {"worker": np.array([0.1, np.nan, 0.2, 0.3])}}, "TCP of 'worker': contains NaN"),
        ({"scores": {"sharp": np.array([0.1, np.nan, 0.2, 0.3])}}, "score 'sharp': contains NaN"),
        ({"scores": {"sharp": np.zeros(3)}}, r"score 'sharp': expected .* \(4,\), got \(3,\)"),
        ({"targets": {"worker": np.zeros((4, 1))}}, "TCP of 'worker': expected one value per version"),
        ({"image_id": np.zeros(5)}, r"expected one value per version, \(5,\), got \(4,\)"),
        ({"condition": np.zeros(5)}, "condition: expected one value per version"),
        ({"replicates": 0}, "at least 1 bootstrap replicate, got 0"),
    ],
)
def test_bad_input_is_refused_with_a_reason(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {
        "scores": {"flat": np.zeros(4)},
        "targets": {"worker": np.zeros(4)},
        "image_id": np.zeros(4),
        "condition": np.zeros(4),
        "replicates": 1,
    }
    with pytest.raises(ValueError, match=message):
        rank_correlations(**good | change)


def test_the_variance_of_the_laplacian_of_a_single_bright_pixel() -> None:
    image = np.zeros((9, 9, 3), dtype=np.uint8)
    assert laplacian_variance(image) == 0.0
    image[4, 4] = 100
    # The stencil sums to zero, so that the variance is the mean square: one -4 and four +1.
    assert laplacian_variance(image) == pytest.approx(100**2 * (4**2 + 4) / 81)
    image[4, 4] = [100, 0, 0]
    assert laplacian_variance(image) == pytest.approx(30**2 * (4**2 + 4) / 81), "red weighs .299"


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((9, 9), dtype=np.uint8),
        np.zeros((9, 9, 4), dtype=np.uint8),
        np.zeros((0, 9, 3), dtype=np.uint8),
        np.zeros((9, 9, 3)),
    ],
)
def test_baselines_take_colour_images_only(image: NDArray[np.uint8]) -> None:
    for baseline in (laplacian_variance, jpeg_size):
        with pytest.raises(ValueError, match="uint8 array"):
            baseline(image)


def test_the_jpeg_size_is_that_of_pillow() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    smooth = np.repeat(np.linspace(0, 255, 40).astype(np.uint8), 90).reshape(40, 30, 3)
    for pixels in (image, smooth):
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "jpeg", quality=90, subsampling="4:2:0")
        assert jpeg_size(pixels) == pytest.approx(buffer.tell() / 1200, rel=0.05)
    assert jpeg_size(image) > jpeg_size(smooth)


def test_the_severity_oracle_falls_back_from_condition_to_severity_to_all() -> None:
    oracle = SeverityOracle()
    for version in [("jpeg", 1, 0.8), ("jpeg", 1, 0.6), ("noise", 1, 0.5), ("jpeg", 2, 0.3)]:
        oracle.learn(*version)
    asked = [("jpeg", 1), ("jpeg", 2), ("noise", 1), ("fog", 2), ("fog", 1), ("fog", 5)]
    assert [oracle.predict(*condition) for condition in asked] == pytest.approx([0.7, 0.3, 0.5, 0.3, 1.9 / 3, 0.55])


def test_the_severity_oracle_knows_the_condition_and_nothing_of_the_image() -> None:
    rng = np.random.default_rng(0)
    image_id, condition = (index.ravel() for index in np.indices((30, 10)))
    severity = 1 + condition % 5
    distortion = np.where(condition < 5, "jpeg", "fog")
    quality = 1 / severity * rng.uniform(0.5, 1.0, size=30)[image_id]
    test = image_id >= 20
    oracle = SeverityOracle()
    versions = list(zip(distortion.tolist(), severity.tolist(), quality.tolist(), test, strict=True))
    for *version, held_back in versions:
        if not held_back:
            oracle.learn(*version)
    predicted = np.array([oracle.predict(name, level) for name, level, _, asked in versions if asked])
    estimates = rank_correlations(
        {"oracle": predicted}, {"quality": quality[test]}, image_id[test], condition[test], replicates=50
    )["quality"]["oracle"]
    assert estimates["within_condition"] == ZERO
    assert estimates["within_image"].value == pytest.approx(1.0, abs=0.05)
    assert estimates["global"].low is not None
    assert estimates["global"].low > 0.5


def test_the_severity_oracle_refuses_bad_input() -> None:
    oracle = SeverityOracle()
    with pytest.raises(ValueError, match="learned from no version"):
        oracle.predict("jpeg", 1)
    with pytest.raises(ValueError, match="a version with jpeg 1 is NaN"):
        oracle.learn("jpeg", 1, float("nan"))
    with pytest.raises(ValueError, match="learned from no version"):
        oracle.predict("jpeg", 1)
