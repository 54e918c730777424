"""How often a classifier is right, against counting by hand and Wilson's interval by its formula."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import binom

from metrifier_core.statistics import Accuracy, better_than_chance, surely_chance, top_accuracy

# Few values, so that many tie.
tables = st.tuples(st.integers(1, 12), st.integers(2, 8)).flatmap(
    lambda shape: st.tuples(
        arrays(np.float64, shape, elements=st.integers(-2, 2).map(float)),
        arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)),
    )
)


def share_by_hand(logits: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> float:
    """Named are the classes with the largest logits, the first of those that are alike."""
    right = 0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        named = sorted(range(len(row)), key=lambda index: (-row[index], index))[:classes]
        right += label in named
    return right / len(labels)


@given(tables, st.integers(1, 9))
def test_top_accuracy_is_counted_by_hand(table: tuple[Any, Any], classes: int) -> None:
    assert top_accuracy(*table, classes).share == share_by_hand(*table, classes)


@given(tables)
def test_the_first_class_is_that_of_argmax(table: tuple[Any, Any]) -> None:
    logits, labels = table
    assert top_accuracy(logits, labels).share == np.mean(logits.argmax(axis=1) == labels)


@given(tables)
def test_more_classes_are_never_less_often_right(table: tuple[Any, Any]) -> None:
    shares = [top_accuracy(*table, classes).share for classes in range(1, table[0].shape[1] + 1)]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_of_equal_logits_the_first_ones_are_named() -> None:
    logits = np.zeros((1, 10))
    for label in range(10):
        for classes in (1, 5):
            share = top_accuracy(logits, np.array([label]), classes).share
            assert share == (label < classes), (label, classes)


def test_the_interval_is_wilsons() -> None:
    z = 1.959963984540054
    for images in (1, 7, 50, 1000):
        for right in {0, 1, images // 3, images}:
            labels = np.array([0] * right + [1] * (images - right))
            found = top_accuracy(np.tile([1.0, 0.0], (images, 1)), labels)
            share = right / images
            middle = (share + z**2 / (2 * images)) / (1 + z**2 / images)
            half = z * math.sqrt(share * (1 - share) / images + z**2 / (4 * images**2)) / (1 + z**2 / images)
            assert found.share == share
            assert (found.low, found.high) == pytest.approx((middle - half, middle + half), abs=1e-12)
            assert 0 <= found.low <= share <= found.high <= 1


# No better than chance


def measured(right: int, images: int) -> Accuracy:
    """Return the accuracy of a classifier of two classes that is right on the first so many images."""
    return top_accuracy(np.tile([1.0, 0.0], (images, 1)), np.array([0] * right + [1] * (images - right)))


@pytest.mark.parametrize(
    ("right", "images", "classes", "surely"),
    [
        (0, 20, 10, False),  # a classifier that is right on 18 % would be so once in 60 times
        (0, 34, 10, False),
        (0, 35, 10, True),
        (16, 165, 10, False),
        (15, 165, 10, True),
        (0, 134, 1000, False),
        (0, 165, 1000, True),
        (1, 165, 1000, False),
        (500, 1000, 2, True),
        (550, 1000, 2, False),  # weak, but no chance
        (0, 6, 2, False),
        (0, 7, 2, True),  # the classes are swapped
        (5, 5, 1, False),  # of one class every answer is right
    ],
)
def test_chance_is_told_where_there_are_enough_images(right: int, images: int, classes: int, surely: bool) -> None:
    assert surely_chance(measured(right, images), images, classes) == surely


@given(images=st.integers(1, 200), classes=st.integers(2, 2000))
@settings(max_examples=20, deadline=None)
def test_a_classifier_of_use_is_hardly_ever_taken_for_chance(images: int, classes: int) -> None:
    counts = range(images + 1)
    refused = [right for right in counts if surely_chance(measured(right, images), images, classes)]
    assert refused == list(counts[: len(refused)]), "who is right on fewer is refused too"
    useful = max(2 / (classes + 1), 0.05)
    assert binom.pmf(refused, images, useful).sum() < 1e-3


def test_an_interval_above_chance_is_better_than_chance() -> None:
    assert better_than_chance(Accuracy(0.2, 0.11, 0.3), 10)
    assert not better_than_chance(Accuracy(0.2, 0.09, 0.3), 10)
