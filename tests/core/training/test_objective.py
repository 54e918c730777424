"""The parts of the loss, compared with explicit sums over pairs."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest

QUALITY = np.array([0.9, 0.5, 0.48, 0.1, 0.7])
SOURCE = np.array([0, 0, 0, 1, 1])
TCP = np.array([[0.8, 1.0], [0.5, 0.5], [0.4, 0.6], [0.0, 0.2], [0.7, 0.7]])
LOGITS = np.array([[1.0, 0.5, 2.0], [2.0, 0.0, -1.0], [-0.5, 1.0, 0.3], [0.3, -2.0, 0.1], [-1.0, 0.2, 0.9]])


def cross_entropy(truth: Any, logits: Any) -> Any:
    return np.log1p(np.exp(logits)) - truth * logits


def pairs(*, same: bool) -> float:
    """Return the mean of log(1 + exp(-(s_a - s_b))) over ordered pairs that differ enough."""
    scores = LOGITS[:, 0]
    found = [
        np.log1p(np.exp(scores[b] - scores[a]))
        for a, b in permutations(range(5), 2)
        if QUALITY[a] - QUALITY[b] >= 0.05 and (SOURCE[a] == SOURCE[b]) is np.bool_(same)
    ]
    return float(np.mean(found))


def compute(ranking: float, worker: float, rows: slice = slice(None)) -> float:
    from metrifier_core.training.objective import MetrifierLoss

    truth = np.column_stack([QUALITY, SOURCE, TCP]).astype(np.float32)
    return float(MetrifierLoss(ranking, worker)(truth[rows], LOGITS[rows].astype(np.float32)))


def test_the_quality_has_a_soft_label_cross_entropy() -> None:
    assert compute(0, 0) == pytest.approx(cross_entropy(QUALITY, LOGITS[:, 0]).mean(), rel=1e-6)


def test_each_worker_has_a_cross_entropy_of_its_own() -> None:
    expected = cross_entropy(TCP, LOGITS[:, 1:]).mean()
    assert compute(0, 0.2) - compute(0, 0) == pytest.approx(0.2 * expected, rel=1e-5)


def test_pairs_of_one_source_count_for_half() -> None:
    """The second and third version differ by .02 and are not ordered."""
    expected = (pairs(same=True) + pairs(same=False)) / 2
    assert compute(0.5, 0) - compute(0, 0) == pytest.approx(0.5 * expected, rel=1e-5)


def test_a_batch_without_pairs_has_no_pairwise_part() -> None:
    assert compute(1, 0, slice(1, 3)) == pytest.approx(compute(0, 0, slice(1, 3)), rel=1e-6)
    assert compute(1, 0, slice(0, 1)) == pytest.approx(compute(0, 0, slice(0, 1)), rel=1e-6)
