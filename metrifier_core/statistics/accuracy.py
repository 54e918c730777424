"""How often a classifier is right, and how sure that is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest


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
