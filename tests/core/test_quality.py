"""From logits to quality: what can be worked out by hand, and what has to hold whatever the logits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.special import softmax

from metrifier_core.quality import WorkerLosses, fit_temperature, judge, mean_quality

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


def test_a_class_that_a_worker_rules_out_does_no_harm() -> None:
    losses = judge_one([0, -np.inf, 0], 0)
    assert losses.tcp[0] == pytest.approx(0.5)
    assert losses.entropy[0] == pytest.approx(np.log(2))


def test_quality_by_hand() -> None:
    tcp = np.array([[0.25, 1.0, 0.0], [0.75, 1.0, 0.5]])
    np.testing.assert_array_equal(mean_quality(tcp), [0.5, 1.0, 0.25])


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
    quality = mean_quality(tcp)
    assert quality.shape == tcp.shape[1:]
    assert np.all(tcp.min(axis=0) - 1e-15 <= quality)
    assert np.all(quality <= tcp.max(axis=0) + 1e-15)
    np.testing.assert_allclose(quality, 1 - (1 - tcp).mean(axis=0), atol=1e-15)


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
