"""Accuracy of a classifier, with its uncertainty."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

_MIN_USEFUL = 0.05  # accuracy on clean images below which a classifier is useless for any number of classes
_SIGNIFICANCE = 1e-3


@dataclass(frozen=True)
class Accuracy:
    """A share of correct answers with its 95 % interval.

    Attributes:
        share: Of the images, in [0, 1].
        low: Lower end of Wilson's interval.
        high: Upper end.
    """

    share: float
    low: float
    high: float


def top_accuracy(logits: NDArray[np.float64], labels: NDArray[np.int64], classes: int = 1) -> Accuracy:
    """Return how often the label is among the `classes` largest logits.

    Args:
        logits: (N, C), at least one row.
        labels: (N,) class indices.
        classes: Number of classes that are accepted, 1 for top-1 accuracy.

    Returns:
        The accuracy; of tied logits the one with the lower index counts as larger.
    """
    label_logits = logits[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    larger = (logits > label_logits) | ((logits == label_logits) & earlier)
    correct = int((larger.sum(axis=1) < classes).sum())
    interval = binomtest(correct, len(labels)).proportion_ci(method="wilson")
    return Accuracy(correct / len(labels), float(interval.low), float(interval.high))


def better_than_chance(accuracy: Accuracy, classes: int) -> bool:
    """Return whether the whole interval lies above the accuracy of a guess among `classes`."""
    return accuracy.low > 1 / classes


def surely_chance(accuracy: Accuracy, images: int, classes: int) -> bool:
    """Return whether a classifier is no better than chance, on enough images to be sure.

    Two conditions protect few images and weak classifiers: the interval reaches down to chance, 1 / C; and a classifier
    with twice the odds of chance, which is right on 2 / (C + 1), or with an accuracy of 5 % if that is more, would be
    right on so few with a probability below 1 in 1000. With none right, 10 classes need 35 images and 1000 classes 135.

    Args:
        accuracy: Of clean images.
        images: Number of these images.
        classes: Number of classes that the classifier knows.
    """
    useful = max(2 / (classes + 1), _MIN_USEFUL)
    correct = round(accuracy.share * images)
    return not better_than_chance(accuracy, classes) and bool(binom.cdf(correct, images, useful) < _SIGNIFICANCE)
