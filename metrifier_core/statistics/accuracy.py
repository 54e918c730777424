"""Accuracy of a classifier, with its uncertainty."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MIN_USEFUL = 0.05  # accuracy on clean images below which a classifier is useless for any number of classes
_SIGNIFICANCE = 1e-3


@dataclass(frozen=True)
class Accuracy:
    """A share of correct answers, in [0, 1], with the lower and the upper end of Wilson's 95 % interval."""

    share: float
    low: float
    high: float


def top_accuracy(logits: NDArray[np.float64], labels: NDArray[np.int64], classes: int = 1) -> Accuracy:
    """Return how often the label, a class index (N,), is among the `classes` largest logits (N, C), at least one row.

    Of tied logits the one with the lower index counts as larger.
    """
    label_logits = logits[np.arange(len(labels)), labels][:, None]
    from scipy.stats import binomtest

    earlier = np.arange(logits.shape[1]) < labels[:, None]
    larger = (logits > label_logits) | ((logits == label_logits) & earlier)
    correct = int((larger.sum(axis=1) < classes).sum())
    interval = binomtest(correct, len(labels)).proportion_ci(method="wilson")
    return Accuracy(correct / len(labels), float(interval.low), float(interval.high))


def better_than_chance(accuracy: Accuracy, classes: int) -> bool:
    """Return whether the whole interval lies above the accuracy of a guess among `classes`."""
    return accuracy.low > 1 / classes


def surely_chance(accuracy: Accuracy, images: int, classes: int) -> bool:
    """Return whether a classifier of so many classes is no better than chance, on enough clean images to be sure.

    Two conditions protect few images and weak classifiers: the interval reaches down to chance, 1 / C; and a classifier
    with twice the odds of chance, which is right on 2 / (C + 1), or with an accuracy of 5 % if that is more, would be
    right on so few with a probability below 1 in 1000. With none right, 10 classes need 35 images and 1000 classes 135.
    """
    from scipy.stats import binom

    useful = max(2 / (classes + 1), _MIN_USEFUL)
    below = binom.cdf(round(accuracy.share * images), images, useful)
    return not better_than_chance(accuracy, classes) and bool(below < _SIGNIFICANCE)
