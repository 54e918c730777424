"""How often a classifier is right, and how sure that is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

_USEFUL = 0.05  # of clean images: a classifier that is right on fewer is of no use, however many classes it knows
_UNLIKELY = 1e-3


@dataclass(frozen=True)
class Accuracy:
    """A share of right answers with its 95 % interval.

    Attributes:
        share: Of the images, in [0, 1].
        low: Lower end of Wilson's interval.
        high: Upper end.
    """

    share: float
    low: float
    high: float


def top_accuracy(logits: NDArray[np.float64], labels: NDArray[np.int64], classes: int = 1) -> Accuracy:
    """Computes how often the label is among the classes with the largest logits.

    Args:
        logits: (N, C), at least one row.
        labels: (N,) class indices.
        classes: How many classes may be named.

    Returns:
        The accuracy; a tie with the label's logit counts as right only where the label has the lower index.
    """
    own = logits[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    before = (logits > own) | ((logits == own) & earlier)
    right = int((before.sum(axis=1) < classes).sum())
    interval = binomtest(right, len(labels)).proportion_ci(method="wilson")
    return Accuracy(right / len(labels), float(interval.low), float(interval.high))


def better_than_chance(accuracy: Accuracy, classes: int) -> bool:
    """Tells whether the whole interval lies above what a guess among so many classes is right on."""
    return accuracy.low > 1 / classes


def surely_chance(accuracy: Accuracy, images: int, classes: int) -> bool:
    """Tells whether a classifier does no better than chance, and there are enough images to be sure.

    Two things have to hold, so that neither few images nor a weak classifier are taken for it: the interval reaches
    down to chance, 1 / C; and a classifier with twice the odds of chance, right on 2 / (C + 1), or one that is right on
    5 % where that is more, would be right on so few with a probability below 1 in 1000. With none right, 10 classes
    need 35 images and 1000 classes 135.

    Args:
        accuracy: On clean images.
        images: How many they were.
        classes: How many the classifier knows.
    """
    useful = max(2 / (classes + 1), _USEFUL)
    right = round(accuracy.share * images)
    return not better_than_chance(accuracy, classes) and bool(binom.cdf(right, images, useful) < _UNLIKELY)
