"""From logits to quality: what can be worked out by hand, and what has to hold whatever the logits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.special import softmax
from scipy.stats import rankdata

from metrifier_core.data.quality import MergeSettings, RankScale, mean_quality, median_quality
from metrifier_core.workers import Worker, open_worker
from metrifier_core.workers.losses import WorkerLosses, compute_loss, compute_losses, fit_temperature, judge
from tests.helpers.colour_workers import (
    CLASSES,
    colour_logits,
    draw_colours,
    make_spec,
    plain_image,
    write_colour_classifier,
)

logits_of_one = st.integers(2, 12).flatmap(lambda classes: arrays(np.float64, classes, elements=st.floats(-1e4, 1e4)))
temperatures = st.floats(0.05, 20)


def judge_one(logits: Any, label: int, temperature: float = 1.0) -> WorkerLosses:
    return judge(np.array([logits], np.float64), np.array([label]), temperature)


# By hand


def test_two_classes_by_hand() -> None:
    wrong, right = (judge_one([0, np.log(3)], label) for label in (0, 1))
    assert wrong.tcp[0] == pytest.approx(0.25)
    assert wrong.loss[0] == pytest.approx(0.75)
    assert wrong.cross_entropy[0] == pytest.approx(np.log(4))
    assert right.tcp[0] == pytest.approx(0.75)
    assert right.loss[0] == pytest.approx(0.25)
    assert right.cross_entropy[0] == pytest.approx(np.log(4 / 3))
    assert (wrong.correct[0], right.correct[0]) == (False, True)
    for losses in (wrong, right):
        assert losses.max_softmax[0] == pytest.approx(0.75)
        assert losses.entropy[0] == pytest.approx(np.log(4) - 0.75 * np.log(3))


def test_a_temperature_divides_the_logits() -> None:
    assert judge_one([0, 2 * np.log(3)], 0, temperature=2).tcp[0] == pytest.approx(0.25)
    assert judge_one([0, np.log(3) / 2], 0, temperature=0.5).tcp[0] == pytest.approx(0.25)


def test_cross_entropy_is_exact_where_the_probability_underflows() -> None:
    losses = judge_one([0, 1000, -1e6], 0)
    assert losses.cross_entropy[0] == 1000
    assert (losses.tcp[0], losses.loss[0], losses.entropy[0]) == (0, 1, 0)
    assert judge_one([0, 1000, -1e6], 2).cross_entropy[0] == 1_001_000


def test_cross_entropy_is_exact_where_the_probability_is_nearly_1() -> None:
    assert judge_one([30, 0], 0).cross_entropy[0] == pytest.approx(np.exp(-30), rel=1e-3)


def test_cross_entropy_is_exact_far_from_the_largest_logit() -> None:
    """A probability of exp(-800) is no number; its logarithm is."""
    logits = np.array([[0.0, 800.0], [800.0, 0.0], [-400.0, 400.0], [12_345.0, 13_145.0]])
    losses = judge(logits, np.array([0, 1, 0, 0]), 1.0)
    np.testing.assert_array_equal(losses.cross_entropy, [800.0] * 4)
    np.testing.assert_array_equal(judge(logits, np.array([0, 1, 0, 0]), 1.6).cross_entropy, [500.0] * 4)
    np.testing.assert_array_equal(judge(logits, np.array([1, 0, 1, 1]), 1.0).cross_entropy, [0.0] * 4)


@pytest.mark.parametrize("label", [-1, 3, 1000])
def test_a_label_that_is_no_class_of_the_worker_is_refused(label: int) -> None:
    with pytest.raises(ValueError, match=rf"the labels are {min(label, 1)} to {max(label, 1)}, .* classes 0 to 2"):
        judge(np.zeros((2, 3)), np.array([1, label]), 1.0)


def test_a_class_that_a_worker_rules_out_does_no_harm() -> None:
    losses = judge_one([0, -np.inf, 0], 0)
    assert losses.tcp[0] == pytest.approx(0.5)
    assert losses.entropy[0] == pytest.approx(np.log(2))


def test_quality_by_hand() -> None:
    tcp = np.array([[0.25, 1.0, 0.0], [0.75, 1.0, 0.5]])
    np.testing.assert_array_equal(mean_quality(tcp), [0.5, 1.0, 0.25])


def test_the_median_is_moved_far_by_no_single_worker() -> None:
    tcp = np.array([[0.25, 1.0, 0.0], [0.75, 0.9, 0.5], [0.5, 0.0, 0.6]])
    np.testing.assert_array_equal(median_quality(tcp), [0.5, 0.9, 0.5])
    np.testing.assert_array_equal(median_quality(tcp[:2]), [0.5, 0.95, 0.25], "of an even number, the mean of two")


def test_every_image_is_judged_by_itself() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, (20, 7)), rng.integers(7, size=20)
    together = judge(logits, labels, 1.7)
    for index in range(20):
        alone = judge(logits[index : index + 1], labels[index : index + 1], 1.7)
        for name, values in vars(alone).items():
            assert getattr(together, name)[index] == values[0], name


def test_no_images_have_no_losses() -> None:
    losses = judge(np.zeros((0, 5)), np.zeros(0, np.int64), 1.0)
    assert {values.shape for values in vars(losses).values()} == {(0,)}


# Whatever the logits


@given(logits_of_one, temperatures)
@settings(deadline=None)
def test_true_class_probabilities_are_a_distribution(logits: NDArray[np.float64], temperature: float) -> None:
    classes = len(logits)
    losses = judge(np.tile(logits, (classes, 1)), np.arange(classes), temperature)
    assert losses.tcp.sum() == pytest.approx(1)
    assert losses.tcp.min() >= 0
    assert losses.tcp.max() == pytest.approx(losses.max_softmax[0])
    assert losses.correct.sum() == 1
    assert losses.tcp[losses.correct][0] == losses.tcp.max()


@given(logits_of_one, temperatures, st.data())
@settings(deadline=None)
def test_ranges(logits: NDArray[np.float64], temperature: float, data: st.DataObject) -> None:
    classes = len(logits)
    losses = judge_one(logits, data.draw(st.integers(0, classes - 1)), temperature)
    assert 0 <= losses.tcp[0] <= 1
    assert losses.loss[0] == 1 - losses.tcp[0]
    assert losses.cross_entropy[0] >= 0
    assert losses.tcp[0] == np.exp(-losses.cross_entropy[0])
    assert 1 / classes - 1e-12 <= losses.max_softmax[0] <= 1
    assert 0 <= losses.entropy[0] <= np.log(classes) + 1e-12


@given(logits_of_one, temperatures, st.floats(-1e3, 1e3))
@settings(deadline=None)
def test_a_constant_added_to_all_logits_changes_nothing(
    logits: NDArray[np.float64], temperature: float, constant: float
) -> None:
    before, after = judge_one(logits, 0, temperature), judge_one(logits + constant, 0, temperature)
    assert after.cross_entropy[0] == pytest.approx(before.cross_entropy[0], abs=1e-9)
    assert after.entropy[0] == pytest.approx(before.entropy[0], abs=1e-6)


@given(logits_of_one, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_classes_does_not_matter(logits: NDArray[np.float64], random: Any) -> None:
    order = list(range(len(logits)))
    random.shuffle(order)
    before, after = judge_one(logits, order[0]), judge_one(logits[order], 0)
    assert after.tcp[0] == pytest.approx(before.tcp[0])
    assert after.max_softmax[0] == pytest.approx(before.max_softmax[0])
    assert after.entropy[0] == pytest.approx(before.entropy[0], abs=1e-9)


@given(logits_of_one, temperatures, st.floats(0, 100))
@settings(deadline=None)
def test_more_evidence_for_the_right_class_is_never_worse(
    logits: NDArray[np.float64], temperature: float, evidence: float
) -> None:
    stronger = logits.copy()
    stronger[0] += evidence
    before, after = judge_one(logits, 0, temperature), judge_one(stronger, 0, temperature)
    assert after.cross_entropy[0] <= before.cross_entropy[0] + 1e-9
    assert after.loss[0] <= before.loss[0] + 1e-12


@given(logits_of_one, temperatures, st.floats(1, 10))
@settings(deadline=None)
def test_heat_makes_a_worker_less_certain(logits: NDArray[np.float64], temperature: float, factor: float) -> None:
    cool, hot = judge_one(logits, 0, temperature), judge_one(logits, 0, temperature * factor)
    assert hot.max_softmax[0] <= cool.max_softmax[0] + 1e-12
    assert hot.entropy[0] >= cool.entropy[0] - 1e-9
    assert hot.correct[0] == cool.correct[0]


@given(arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 20)), elements=st.floats(0, 1)))
@settings(deadline=None)
def test_quality_lies_between_the_workers(tcp: NDArray[np.float64]) -> None:
    for quality in (mean_quality(tcp), median_quality(tcp)):
        assert quality.shape == tcp.shape[1:]
        assert np.all(tcp.min(axis=0) - 1e-15 <= quality)
        assert np.all(quality <= tcp.max(axis=0) + 1e-15)
    np.testing.assert_allclose(mean_quality(tcp), 1 - (1 - tcp).mean(axis=0), atol=1e-15)


# Temperature


@pytest.mark.parametrize("margin", [0.5, 3.0, 12.0])
def test_temperature_by_hand(margin: float) -> None:
    """A worker that is always equally sure and right three times of four should say 3/4: margin / T = ln 3."""
    logits = np.tile([margin, 0.0], (4, 1))
    temperature = fit_temperature(logits, np.array([0, 0, 0, 1]))
    assert temperature == pytest.approx(margin / np.log(3), rel=1e-4)
    assert judge(logits, np.array([0, 0, 0, 1]), temperature).max_softmax == pytest.approx(0.75, rel=1e-4)


@pytest.mark.parametrize("true", [0.3, 1.0, 2.5])
def test_temperature_is_recovered(true: float) -> None:
    rng = np.random.default_rng(4)
    honest = rng.normal(0, 2, (20_000, 10))
    labels = (softmax(honest, axis=1).cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    assert fit_temperature(honest * true, labels) == pytest.approx(true, rel=0.02)


def test_temperature_makes_confidence_honest() -> None:
    rng = np.random.default_rng(5)
    honest = rng.normal(0, 2, (20_000, 10))
    labels = (softmax(honest, axis=1).cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    raw = judge(honest * 4, labels, 1.0)
    scaled = judge(honest * 4, labels, fit_temperature(honest * 4, labels))
    assert raw.max_softmax.mean() > raw.correct.mean() + 0.1, "over-confident"
    assert scaled.max_softmax.mean() == pytest.approx(scaled.correct.mean(), abs=0.01)
    assert scaled.cross_entropy.mean() < raw.cross_entropy.mean()


def test_temperature_is_bounded_where_a_worker_is_always_right() -> None:
    temperature = fit_temperature(np.array([[5.0, 0.0], [0.0, 5.0]]), np.array([0, 1]))
    assert np.exp(-3) <= temperature < 0.5


def test_temperature_needs_images() -> None:
    with pytest.raises(ValueError, match="no calibration images: give the calibration split a larger share"):
        fit_temperature(np.zeros((0, 10)), np.zeros(0, np.int64))


# Workers


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Worker:
    weights = write_colour_classifier(tmp_path_factory.mktemp("worker") / "colour.onnx")
    return open_worker(make_spec(weights, batch_size=8), weights, temperature=2.5)


def test_the_loss_of_an_image_is_its_row_among_many(worker: Worker) -> None:
    colours, labels = draw_colours(30, noise=60)
    images = [plain_image(colour) for colour in colours]
    losses = compute_losses(worker, images, labels.tolist())
    alone = [compute_loss(worker, image, int(label)) for image, label in zip(images, labels, strict=True)]
    assert all(type(loss) is float for loss in alone)
    np.testing.assert_array_equal(alone, 1 - losses.tcp)
    assert 0 <= min(alone) < 0.2
    assert 0.8 < max(alone) <= 1


def test_losses_are_those_of_the_logits_at_the_workers_temperature(worker: Worker) -> None:
    colours, labels = draw_colours(30, noise=60)
    losses = compute_losses(worker, [plain_image(colour) for colour in colours], labels.tolist())
    expected = judge(colour_logits(colours), labels, 2.5)
    for name, values in vars(expected).items():
        np.testing.assert_allclose(getattr(losses, name), values, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("label", [-1, CLASSES])
def test_an_image_of_an_unknown_class_has_no_loss(label: int, worker: Worker) -> None:
    image = plain_image(draw_colours(1)[0][0])
    assert compute_loss(worker, image, 0) < 0.5
    with pytest.raises(ValueError, match=f"the labels are {label} to {label}, the worker's classes 0 to {CLASSES - 1}"):
        compute_loss(worker, image, label)


# Ranks


def mean_midrank(tcp: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the same by the book: the share that is worse, half of the equals counted."""
    return np.asarray(((rankdata(tcp, axis=1) - 0.5) / tcp.shape[1]).mean(axis=0))


def rank_all(tcp: NDArray[np.float64]) -> NDArray[np.float64]:
    scale = RankScale(len(tcp))
    scale.count(tcp)
    return scale.mean_rank(tcp)


@pytest.mark.parametrize("power", [0.3, 1, 3])
def test_ranks_of_many_versions_are_midranks(power: float) -> None:
    tcp = np.random.default_rng(0).random((3, 5000)) ** power
    np.testing.assert_allclose(rank_all(tcp), mean_midrank(tcp), atol=1e-3)


tables_of_few_values = arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(1, 12)), elements=st.integers(0, 64).map(lambda n: n / 64)
)


@given(tables_of_few_values)
def test_ranks_of_values_that_differ_are_exact(tcp: NDArray[np.float64]) -> None:
    ranks = rank_all(tcp)
    np.testing.assert_allclose(ranks, mean_midrank(tcp), atol=1e-12)
    assert ((ranks > 0) & (ranks < 1)).all()


probabilities = st.floats(0, 1, allow_subnormal=True)


@given(
    arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 10)), elements=probabilities),
    st.data(),
)
def test_more_from_any_worker_is_never_a_lower_rank(tcp: NDArray[np.float64], data: st.DataObject) -> None:
    place = data.draw(st.tuples(*(st.integers(0, size - 1) for size in tcp.shape)))
    raised = tcp.copy()
    raised[place] = data.draw(st.floats(tcp[place], 1))
    scale = RankScale(len(tcp))
    scale.count(tcp)
    assert scale.mean_rank(raised)[place[1]] >= scale.mean_rank(tcp)[place[1]], "among the same versions"
    assert rank_all(raised)[place[1]] >= rank_all(tcp)[place[1]] - 1e-12, "among those that it is one of"


@given(arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(2, 10)), elements=probabilities), st.data())
def test_ranks_are_counted_alike_in_parts(tcp: NDArray[np.float64], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, tcp.shape[1]), max_size=3)))
    scale = RankScale(len(tcp))
    parts = np.split(tcp, cuts, axis=1)
    for part in reversed(parts):
        scale.count(part)
    together = rank_all(tcp)
    np.testing.assert_array_equal(np.concatenate([scale.mean_rank(part) for part in parts]), together)


def test_equals_stand_alike_and_every_worker_weighs_the_same() -> None:
    tcp = np.array([[0.9, 0.9, 0.9, 0.1], [1e-9, 2e-9, 1e-12, 4e-9]])
    # The second worker's probabilities are tiny, and its order counts as much.
    first, second = np.array([2.5, 2.5, 2.5, 0.5]), np.array([1.5, 2.5, 0.5, 3.5])
    np.testing.assert_allclose(rank_all(tcp), (first + second) / 8, atol=1e-15)


def test_extremes_have_ranks_of_their_own() -> None:
    smallest = np.nextafter(0, 1)
    tcp = np.array([[0.0, smallest, 1e-42, 1e-40, 0.5, np.nextafter(1, 0), 1.0]])
    ranks = rank_all(tcp)
    assert (np.diff(ranks) >= 0).all()
    assert ranks[0] == ranks[1] == ranks[2] == 1.5 / 7, "too small to be told from 0"
    assert ranks[3] == 3.5 / 7
    assert ranks[-1] == ranks[-2] == 6 / 7
    assert rank_all(np.array([[0.0, 1.0]])).tolist() == [0.25, 0.75]
    assert rank_all(np.array([[1.0]])).tolist() == [0.5]


def test_what_differs_by_a_thousandth_is_told_apart() -> None:
    tcp = 0.999 ** np.arange(2000)[None]
    assert (np.diff(rank_all(tcp)) < 0).all()


# Settings


def test_quality_is_the_mean_unless_another_is_asked_for() -> None:
    assert MergeSettings().quality == "mean"
    for name in ("mean", "median", "mean_rank"):
        assert MergeSettings.model_validate({"quality": name}).quality == name
    for wrong in ({"quality": "mode"}, {"qualty": "mean"}, {"quality": None}):
        with pytest.raises(ValidationError, match=r"'mean', 'median' or 'mean_rank'|did you mean 'quality'"):
            MergeSettings.model_validate(wrong)


def test_equal_mean_ranks_are_equal_to_the_last_digit() -> None:
    quality = rank_all(np.array([np.random.default_rng(seed).random(27) for seed in range(3)]))
    assert len(set(quality)) == len(set(quality.round(12)))
