"""AUROC, AUGRC and error-versus-discard by their definitions."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from metrifier_core.statistics.error_curve import ErrorCurve, SortedErrors

seeds = st.integers(0, 2**32 - 1)


def make_curve(score: list[float], right: list[bool], copies: list[int] | None = None) -> ErrorCurve:
    weights = np.ones(len(score)) if copies is None else np.array(copies, dtype=np.float64)
    return SortedErrors.of(np.array(score), np.array([right])).curve(weights)


def make_rows(seed: int, rows: int = 30, values: int = 8) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a score with many ties, and three workers: right where it is high, at chance, and where it is low."""
    rng = np.random.default_rng(seed)
    score = rng.integers(values, size=rows).astype(np.float64)
    return score, np.stack([score, np.zeros(rows), -score]) + rng.normal(0, 3, (3, rows)) > 0


def brute_augrc(right: NDArray[np.bool_]) -> float:
    """Return the area over coverage of the share of rows that are accepted and wrong; the most trusted come first."""
    rows = len(right)
    risks = [0.0] + [float((~right[:accepted]).sum()) / rows for accepted in range(1, rows + 1)]
    return float(np.trapezoid(risks, dx=1 / rows))


def test_four_rows_by_hand() -> None:
    # From the lowest score: wrong, right, wrong, right.
    curve = make_curve([0.1, 0.2, 0.3, 0.4], [False, True, False, True])
    assert curve.auroc() == pytest.approx([3 / 4]), "three of the four pairs stand in order"
    # Accepted from the highest score, the errors among 0 to 4 rows are 0, 0, 1, 1, 2.
    assert curve.augrc() == pytest.approx([(0 + 0.5 + 1 + 1.5) / 16])
    assert curve.error_on_kept(np.array([0, 0.25, 0.5]))[0] == pytest.approx([2 / 4, 1 / 3, 1 / 2])


def test_ties_are_discarded_in_a_random_order() -> None:
    # Two of the lowest three are wrong: of any one of them 2/3 of an error goes.
    curve = make_curve([0, 0, 0, 1], [False, False, True, True])
    assert curve.error_on_kept(np.array([0.25]))[0, 0] == pytest.approx((2 - 2 / 3) / 3)
    # Half a row of the three.
    assert curve.error_on_kept(np.array([0.125]))[0, 0] == pytest.approx((2 - 1 / 3) / 3.5)


@given(seeds)
@settings(deadline=None, max_examples=40)
def test_auroc_is_scikit_learns(seed: int) -> None:
    score, right = make_rows(seed)
    copies = np.random.default_rng(seed).integers(0, 4, len(score)).astype(np.float64)
    for found, answers in zip(SortedErrors.of(score, right).curve(copies).auroc(), right, strict=True):
        drawn = copies > 0
        if len(set(answers[drawn])) < 2:
            assert np.isnan(found)
        else:
            assert found == pytest.approx(roc_auc_score(answers, score, sample_weight=copies), abs=1e-12)


def test_augrc_is_the_mean_over_all_orders_of_ties() -> None:
    score, right = np.array([2, 1, 1, 1, 0]), np.array([True, False, True, False, True])
    orders = [np.array([0, *middle, 4]) for middle in permutations([1, 2, 3])]
    expected = np.mean([brute_augrc(right[order]) for order in orders])
    assert make_curve(list(score), list(right)).augrc() == pytest.approx([expected], abs=1e-15)


@given(seeds)
@settings(deadline=None, max_examples=40)
def test_augrc_is_its_definition_where_no_scores_are_tied(seed: int) -> None:
    _, right = make_rows(seed)
    score = np.random.default_rng(seed).permutation(right.shape[1]).astype(np.float64)
    found = SortedErrors.of(score, right).curve(np.ones(len(score))).augrc()
    assert found == pytest.approx([brute_augrc(answers[np.argsort(-score)]) for answers in right], abs=1e-12)


@given(seeds)
@settings(deadline=None, max_examples=40)
def test_augrc_follows_from_auroc_and_accuracy(seed: int) -> None:
    """An identity of Traub et al. 2024."""
    score, right = make_rows(seed)
    curve = SortedErrors.of(score, right).curve(np.ones(len(score)))
    accuracy, auroc = right.mean(axis=1), np.nan_to_num(curve.auroc())
    expected = (1 - auroc) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2
    assert curve.augrc() == pytest.approx(expected, abs=1e-12)


@given(seeds)
@settings(deadline=None, max_examples=40)
def test_copies_are_rows_that_stand_there_several_times(seed: int) -> None:
    score, right = make_rows(seed)
    copies = np.random.default_rng(seed).integers(0, 3, len(score))
    weighted = SortedErrors.of(score, right).curve(copies.astype(np.float64))
    repeated = np.repeat(np.arange(len(score)), copies)
    plain = SortedErrors.of(score[repeated], right[:, repeated]).curve(np.ones(len(repeated)))
    shares = np.linspace(0, 0.5, 11)
    np.testing.assert_array_equal(weighted.auroc(), plain.auroc())
    np.testing.assert_array_equal(weighted.augrc(), plain.augrc())
    np.testing.assert_allclose(weighted.error_on_kept(shares), plain.error_on_kept(shares), atol=1e-12)


@given(seeds)
@settings(deadline=None, max_examples=40)
def test_the_order_of_the_rows_does_not_matter(seed: int) -> None:
    score, right = make_rows(seed)
    order = np.random.default_rng(seed).permutation(len(score))
    first, second = (
        SortedErrors.of(score[rows], right[:, rows]).curve(np.ones(len(score))) for rows in (np.arange(30), order)
    )
    np.testing.assert_array_equal(first.discarded, second.discarded)
    np.testing.assert_array_equal(first.errors, second.errors)


def test_a_score_that_knows_nothing_and_one_that_knows_all() -> None:
    right = [True, True, True, False]
    nothing, everything = make_curve([0, 0, 0, 0], right), make_curve([1, 1, 1, 0], right)
    shares = np.array([0.0, 0.25, 0.5])
    assert (nothing.auroc()[0], everything.auroc()[0]) == (0.5, 1.0)
    assert (nothing.augrc()[0], everything.augrc()[0]) == (0.25 / 2, 0.25**2 / 2)
    assert nothing.error_on_kept(shares)[0] == pytest.approx([0.25] * 3)
    assert everything.error_on_kept(shares)[0] == pytest.approx([0.25, 0, 0])


def test_a_worker_that_is_always_or_never_right_has_no_auroc() -> None:
    always, never = make_curve([1, 2, 2], [True] * 3), make_curve([1, 2, 2], [False] * 3)
    assert np.isnan([always.auroc()[0], never.auroc()[0]]).all()
    assert (always.augrc()[0], never.augrc()[0]) == (0.0, 0.5)


def test_infinity_is_a_score() -> None:
    assert make_curve([np.inf, 30, -np.inf, np.inf], [True, True, False, True]).auroc() == [1.0]
