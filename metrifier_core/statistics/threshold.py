"""Choice of a threshold for scores, by a worker's accuracy or by the share of images kept, with what to expect."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrifier_core.statistics.bootstrap import INTERVAL, draw_copies
from metrifier_core.statistics.error_curve import SortedErrors

_REPLICATES = 1000
MIN_KEPT = 20
"""Number of images that a threshold must keep to show that an accuracy is reached."""


# At each distinct score, from the lowest: the number of images that score at least this, and the correct ones of them.
_Counts = tuple[NDArray[np.float64], NDArray[np.float64]]


class UnreachableAccuracyError(ValueError):
    """No threshold reaches an accuracy; the message has the best one."""


@dataclass(frozen=True)
class Share:
    """A share of the images that a threshold was chosen on, and what to expect of other images.

    Attributes:
        here: Of these images, in [0, 1].
        expected: Of other images; lower than `here` if the threshold was chosen because `here` is high.
        low, high: Ends of the interval that holds the share of as many other images in 95 of 100 cases.
    """

    here: float
    expected: float
    low: float
    high: float


@dataclass(frozen=True)
class Threshold:
    """A score, and the result of keeping the images that score at least as high.

    Attributes:
        score: One of the scores it was chosen from.
        images, kept_images: Numbers of images that it was chosen on, and that it keeps of these.
        kept: The share of the images that it keeps.
        accuracy: The worker's accuracy on the kept images.
    """

    score: float
    images: int
    kept_images: int
    kept: Share
    accuracy: Share


def reach_accuracy(
    scores: NDArray[np.float64], right: NDArray[np.bool_], accuracy: float, rng: np.random.Generator
) -> Threshold:
    """Find the lowest score from which on a worker is accurate enough.

    Such a threshold is chosen where these images happen to be favourable, so the accuracy on others is lower: by the
    optimism that a bootstrap of the whole choice finds. The interval is that of as many other images around the lowered
    accuracy.

    Args:
        scores: (N,) of independent images, higher is better, at least `MIN_KEPT` of them.
        right: (N,) whether the worker is right.
        accuracy: To reach on the kept images, in [0, 1].
        rng: Source of the bootstrap's draws.

    Returns:
        The threshold. Tied images are kept or rejected together; a higher accuracy never keeps more.

    Raises:
        UnreachableAccuracyError: No threshold that keeps `MIN_KEPT` images reaches the accuracy.
        ValueError: There are too few images, or the accuracy is not in [0, 1].
    """
    if not 0 <= accuracy <= 1:
        raise ValueError(f"accuracy: expected 0 to 1, got {accuracy:g}")
    sorted_errors = _sort(scores, right)
    counts = _count_above(sorted_errors)
    place = _choose(counts, accuracy)
    if place is None:
        accuracies = _accuracies(counts)
        best = int(np.argmax(accuracies))
        raise UnreachableAccuracyError(
            f"no threshold that keeps {MIN_KEPT} images or more reaches an accuracy of {accuracy:g}: "
            f"the best is {accuracies[best]:.3f}, on the {counts[0][best]:.0f} of {len(scores)} images "
            f"that score at least {np.unique(scores)[best]:.6f}"
        )
    return _describe(scores, sorted_errors, place, _estimate_optimism(sorted_errors, accuracy, rng))


def keep_share(scores: NDArray[np.float64], right: NDArray[np.bool_], share: float) -> Threshold:
    """Find the highest score that at least a share of the images reaches.

    The choice does not depend on the worker, so its accuracy here is the one to expect of other images.

    Args:
        scores: (N,) of independent images, higher is better, at least `MIN_KEPT` of them.
        right: (N,) whether the worker is right.
        share: Of the images to keep, in [0, 1].

    Returns:
        The threshold; it keeps at least one image, and more than the share if images are tied.

    Raises:
        ValueError: There are too few images, or the share is not in [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share: expected 0 to 1, got {share:g}")
    sorted_errors = _sort(scores, right)
    place = int(np.flatnonzero(_count_above(sorted_errors)[0] / len(scores) >= share)[-1])
    return _describe(scores, sorted_errors, place, 0.0)


def _sort(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> SortedErrors:
    if len(scores) < MIN_KEPT:
        raise ValueError(f"a threshold needs at least {MIN_KEPT} images, there are {len(scores)}")
    return SortedErrors.of(scores, right[None])


def _count_above(sorted_errors: SortedErrors, copies: NDArray[np.float64] | None = None) -> _Counts:
    curve = sorted_errors.curve(np.ones(len(sorted_errors.order)) if copies is None else copies)
    kept = curve.discarded[-1] - curve.discarded[:-1]
    return kept, kept - (curve.errors[0, -1] - curve.errors[0, :-1])


def _accuracies(counts: _Counts) -> NDArray[np.float64]:
    """Return the accuracy at each score, -1 if it keeps less than `MIN_KEPT` images."""
    kept, right = counts
    return np.asarray(np.divide(right, kept, out=np.full(len(kept), -1.0), where=kept >= MIN_KEPT))


def _choose(counts: _Counts, accuracy: float) -> int | None:
    reached = np.flatnonzero(_accuracies(counts) >= accuracy)
    return int(reached[0]) if len(reached) else None


def _estimate_optimism(sorted_errors: SortedErrors, accuracy: float, rng: np.random.Generator) -> float:
    """Estimate by how much accuracy is higher on the images that a threshold was chosen on.

    The choice is repeated on images drawn with replacement, and each threshold is applied to all images; the mean loss
    is the optimism. Source: Efron, "Estimating the Error Rate of a Prediction Rule", 1983, section 2.
    """
    kept, right = _count_above(sorted_errors)
    losses = []
    for copies in draw_copies(len(sorted_errors.order), _REPLICATES, rng):
        drawn_kept, drawn_right = drawn = _count_above(sorted_errors, copies)
        place = _choose(drawn, accuracy)
        if place is not None:
            losses.append(drawn_right[place] / drawn_kept[place] - right[place] / kept[place])
    return max(0.0, float(np.mean(losses))) if losses else 0.0


def _describe(scores: NDArray[np.float64], sorted_errors: SortedErrors, place: int, optimism: float) -> Threshold:
    images = len(scores)
    kept, right = (int(counts[place]) for counts in _count_above(sorted_errors))
    expected = max(0.0, right / kept - optimism)
    return Threshold(
        float(np.unique(scores)[place]),
        images,
        kept,
        Share(kept / images, kept / images, *_predict(kept / images, images)),
        Share(right / kept, expected, *_predict(expected, kept)),
    )


def _predict(share: float, rows: int) -> tuple[float, float]:
    """Return the 95 % interval of the share of as many other rows.

    The number of successes among other rows is beta-binomial if the probability has Jeffreys' prior, Beta(1/2, 1/2).
    Source: Meeker, Hahn and Escobar, "Statistical Intervals", 2nd edition, 2017, chapter 6.
    """
    from scipy.stats import betabinom

    low, high = (betabinom.ppf(end, rows, share * rows + 0.5, rows - share * rows + 0.5) for end in INTERVAL)
    return float(low / rows), float(high / rows)
