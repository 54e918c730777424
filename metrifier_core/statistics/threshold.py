"""Where to put a gate: the score from which on a worker is right often enough, and what to expect of other images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom

from metrifier_core.statistics.bootstrap import draw_copies
from metrifier_core.statistics.error_curve import ErrorCurve, SortedErrors

MIN_KEPT = 20
"""A threshold that keeps fewer images than this does not show that an accuracy is reached."""

_REPLICATES = 1000
_INTERVAL = (0.025, 0.975)

# Where to put the threshold, from how many rows are kept at each place, and on how many of these the worker is right.
_Choice = Callable[[NDArray[np.float64], NDArray[np.float64]], int | None]


class UnreachableAccuracyError(ValueError):
    """No threshold reaches an accuracy; the message says what is the best that can be reached."""


@dataclass(frozen=True)
class Share:
    """A share of the images that a threshold was chosen on, and what it will be of others.

    Attributes:
        here: Of these images, in [0, 1].
        expected: Of others; lower than `here` where the threshold was chosen because `here` is high.
        low: Lower end of the interval that has the share of as many other images in 95 of 100 cases.
        high: Upper end.
    """

    here: float
    expected: float
    low: float
    high: float


@dataclass(frozen=True)
class Threshold:
    """A score, and what comes of keeping the images that score at least as high.

    Attributes:
        score: One of the scores it was chosen from.
        images: Number of images it was chosen on.
        kept_images: How many of them it keeps.
        kept: The same as a share of the images.
        accuracy: How often the worker is right, as a share of the kept images.
    """

    score: float
    images: int
    kept_images: int
    kept: Share
    accuracy: Share


def _above(curve: ErrorCurve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts at each distinct score, from the lowest: (T,) rows that score at least this, (T,) right ones of them."""
    kept = curve.discarded[-1] - curve.discarded[:-1]
    return kept, kept - (curve.errors[0, -1] - curve.errors[0, :-1])


def _accuracy(kept: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divides where enough is kept; elsewhere it is -1."""
    return np.asarray(np.divide(right, kept, out=np.full(len(kept), -1.0), where=kept >= MIN_KEPT))


def _predict(share: float, rows: int) -> tuple[float, float]:
    """Puts the share of as many other rows into its 95 % interval, given that of these.

    The number of successes among other rows is beta-binomial where the probability has Jeffreys' prior,
    Beta(1/2, 1/2). Source: Meeker, Hahn and Escobar, "Statistical Intervals", 2nd edition, 2017, chapter 6.
    """
    successes = share * rows
    likely = betabinom.pmf(np.arange(rows + 1), rows, successes + 0.5, rows - successes + 0.5)
    low, high = np.searchsorted(np.cumsum(likely), _INTERVAL)
    return float(low / rows), float(min(high, rows) / rows)


def _optimism(sorted_errors: SortedErrors, choose: _Choice, rng: np.random.Generator) -> float:
    """Finds by how much accuracy is higher on the images that a threshold was chosen on.

    The whole choice is repeated on images drawn with replacement, and each threshold is then applied to all images;
    what is lost is the optimism. Source: Efron, "Estimating the Error Rate of a Prediction Rule", 1983, section 2.
    """
    images = sorted_errors.wrong.shape[1]
    kept, right = _above(sorted_errors.curve(np.ones(images)))
    lost = []
    for copies in draw_copies(images, _REPLICATES, rng):
        drawn_kept, drawn_right = _above(sorted_errors.curve(copies))
        place = choose(drawn_kept, drawn_right)
        if place is not None:
            lost.append(drawn_right[place] / drawn_kept[place] - right[place] / kept[place])
    return max(0.0, float(np.mean(lost))) if lost else 0.0


def _sort(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> SortedErrors:
    if len(scores) < MIN_KEPT:
        raise ValueError(f"a threshold needs at least {MIN_KEPT} images, there are {len(scores)}")
    return SortedErrors.of(scores, right[None])


def _threshold(scores: NDArray[np.float64], sorted_errors: SortedErrors, place: int, optimism: float) -> Threshold:
    """Describes the threshold at one of the distinct scores."""
    images = len(scores)
    kept, right = (int(counts[place]) for counts in _above(sorted_errors.curve(np.ones(images))))
    here = right / kept
    expected = max(0.0, here - optimism)
    return Threshold(
        float(scores[sorted_errors.order[sorted_errors.bounds[place]]]),
        images,
        kept,
        Share(kept / images, kept / images, *_predict(kept / images, images)),
        Share(here, expected, *_predict(expected, kept)),
    )


def reach_accuracy(
    scores: NDArray[np.float64], right: NDArray[np.bool_], accuracy: float, rng: np.random.Generator
) -> Threshold:
    """Finds the lowest score such that a worker is right often enough on the images that score at least as high.

    The threshold is put where chance was kind, so that the accuracy on other images is lower: by the optimism that a
    bootstrap of the whole choice finds. The interval is that of as many other images around the lowered accuracy.

    Args:
        scores: (N,) of independent images, higher is better, at least `MIN_KEPT` of them.
        right: (N,) whether the worker is right.
        accuracy: What is to be reached on the kept images, in [0, 1].
        rng: Source of the bootstrap's draws.

    Returns:
        The threshold; a higher accuracy never keeps more. Images that score alike are kept or not together.

    Raises:
        UnreachableAccuracyError: No threshold that keeps `MIN_KEPT` images reaches it.
        ValueError: There are too few images, or the accuracy is not in [0, 1].
    """
    if not 0 <= accuracy <= 1:
        raise ValueError(f"an accuracy is from 0 to 1, not {accuracy:g}")
    sorted_errors = _sort(scores, right)

    def choose(kept: NDArray[np.float64], right_ones: NDArray[np.float64]) -> int | None:
        enough = np.flatnonzero(_accuracy(kept, right_ones) >= accuracy)
        return int(enough[0]) if len(enough) else None

    kept, right_ones = _above(sorted_errors.curve(np.ones(len(scores))))
    place = choose(kept, right_ones)
    if place is None:
        found = _accuracy(kept, right_ones)
        best = int(np.argmax(found))
        score = scores[sorted_errors.order[sorted_errors.bounds[best]]]
        raise UnreachableAccuracyError(
            f"no threshold that keeps {MIN_KEPT} images or more reaches an accuracy of {accuracy:g}: the best is "
            f"{found[best]:.3f}, on the {kept[best]:.0f} of {len(scores)} images that score at least {score:.6f}"
        )
    return _threshold(scores, sorted_errors, place, _optimism(sorted_errors, choose, rng))


def keep_share(scores: NDArray[np.float64], right: NDArray[np.bool_], share: float) -> Threshold:
    """Finds the highest score such that enough images score at least as high.

    The choice does not look at the worker: the accuracy here is what is expected of other images.

    Args:
        scores: (N,) of independent images, higher is better, at least `MIN_KEPT` of them.
        right: (N,) whether the worker is right.
        share: Of the images that is to be kept, in [0, 1].

    Returns:
        The threshold; where images score alike it may keep more, and it never keeps none.

    Raises:
        ValueError: There are too few images, or the share is not in [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share is from 0 to 1, not {share:g}")
    sorted_errors = _sort(scores, right)
    kept, _ = _above(sorted_errors.curve(np.ones(len(scores))))
    return _threshold(scores, sorted_errors, int(np.flatnonzero(kept / len(scores) >= share)[-1]), 0.0)
