"""Where to put a gate: by hand, by trying every threshold, and by whether its intervals hold on images it never saw."""

from collections.abc import Callable
from math import comb, exp, lgamma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from metrifier_core.statistics import Threshold, UnreachableAccuracyError, keep_share, reach_accuracy
from metrifier_core.statistics.threshold import MIN_KEPT

Sample = tuple[NDArray[np.float64], NDArray[np.bool_]]

# Few distinct scores, so that many tie.
samples = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=MIN_KEPT, max_size=60).map(
    lambda rows: (np.array([score / 10 for score, _ in rows]), np.array([right for _, right in rows]))
)
shares = st.sampled_from([0.0, 0.25, 0.5, 0.55, 0.8, 0.9, 1.0])


def reach(sample: Sample, accuracy: float) -> Threshold | None:
    try:
        return reach_accuracy(*sample, accuracy, np.random.default_rng(0))
    except UnreachableAccuracyError:
        return None


def by_trying(sample: Sample) -> list[tuple[float, int, int]]:
    """Every threshold from the lowest, how many images it keeps, and on how many of these the worker is right."""
    scores, right = sample
    return [
        (float(score), int((scores >= score).sum()), int(right[scores >= score].sum())) for score in np.unique(scores)
    ]


def ladder(rights: list[int], images: int = 10) -> Sample:
    """So many images at each of the scores 0.1, 0.2, ..., on so many of which the worker is right."""
    scores = np.repeat(np.arange(1, len(rights) + 1) / 10, images)
    right = np.concatenate([np.arange(images) < count for count in rights])
    return scores, right


def test_a_ladder_by_hand() -> None:
    # From 0.3 on 18 of 20, from 0.2 on 24 of 30, from 0.1 on 26 of 40.
    sample = ladder([2, 6, 8, 10])
    found = reach(sample, 0.8)
    assert found is not None
    assert (found.score, found.kept_images, found.images) == (0.2, 30, 40)
    assert (found.kept.here, found.accuracy.here) == (0.75, 0.8)
    stricter = reach(sample, 0.81)
    assert stricter is not None
    assert (stricter.score, stricter.accuracy.here) == (0.3, 0.9)
    assert keep_share(*sample, 0.75).score == 0.2
    assert keep_share(*sample, 0.76).score == 0.1
    assert keep_share(*sample, 0.0).kept_images == 10


def test_what_cannot_be_reached_is_said_with_the_best_that_can() -> None:
    # The ten best are all right, which is too few to show anything.
    with pytest.raises(UnreachableAccuracyError) as refused:
        reach_accuracy(*ladder([2, 6, 8, 10]), 0.95, np.random.default_rng(0))
    assert str(refused.value) == (
        "no threshold that keeps 20 images or more reaches an accuracy of 0.95: the best is 0.900, on the 20 of 40 "
        "images that score at least 0.300000"
    )


def test_nobody_is_rejected_where_the_worker_is_good_enough() -> None:
    found = reach(ladder([9, 9, 9]), 0.9)
    assert found is not None
    assert (found.score, found.kept.here, found.kept.high) == (0.1, 1.0, 1.0)


@pytest.mark.parametrize(("share", "rows"), [(1.0, 20), (0.75, 20), (0.0, 7), (0.9, 150)])
def test_the_interval_is_beta_binomial_by_its_formula(share: float, rows: int) -> None:
    def log_beta(first: float, second: float) -> float:
        return lgamma(first) + lgamma(second) - lgamma(first + second)

    right, wrong = share * rows + 0.5, rows - share * rows + 0.5
    likely = [
        comb(rows, count) * exp(log_beta(count + right, rows - count + wrong) - log_beta(right, wrong))
        for count in range(rows + 1)
    ]
    below = np.cumsum(likely)
    least = next(count for count in range(rows + 1) if below[count] >= 0.025)
    most = next(count for count in range(rows + 1) if below[count] >= 0.975 or count == rows)
    # What lies below the kept rows is wrong, and does not matter.
    sample = ladder([0] * 20 + [round(share * rows)], rows)
    found = keep_share(*sample, 1 / 21).accuracy
    assert (found.low, found.here, found.expected, found.high) == pytest.approx(
        (least / rows, share, share, most / rows)
    )


@given(samples, shares)
@settings(max_examples=40)
def test_the_threshold_is_the_lowest_that_reaches_the_accuracy(sample: Sample, accuracy: float) -> None:
    enough = [
        (score, kept, right / kept)
        for score, kept, right in by_trying(sample)
        if kept >= MIN_KEPT and right / kept >= accuracy
    ]
    found = reach(sample, accuracy)
    if found is None:
        assert not enough
    else:
        assert (found.score, found.kept_images, found.accuracy.here) == enough[0]


@given(samples, shares, shares)
@settings(max_examples=25)
def test_a_higher_target_never_keeps_more(sample: Sample, one: float, other: float) -> None:
    lower, higher = (reach(sample, accuracy) for accuracy in sorted((one, other)))
    if higher is not None:
        assert lower is not None
        assert lower.kept_images >= higher.kept_images
        assert lower.score <= higher.score


@given(samples, shares)
def test_as_little_as_can_be_is_kept_above_the_share(sample: Sample, share: float) -> None:
    found = keep_share(*sample, share)
    images = len(sample[0])
    tried = {score: kept for score, kept, _ in by_trying(sample)}
    assert found.kept_images == tried[found.score] >= share * images
    assert all(kept < share * images for score, kept in tried.items() if score > found.score)


@given(samples, shares)
@settings(max_examples=25)
def test_intervals_hold_what_is_expected(sample: Sample, share: float) -> None:
    for found in (keep_share(*sample, share), reach(sample, share)):
        for part in () if found is None else (found.kept, found.accuracy):
            assert 0 <= part.low <= part.expected <= part.here <= 1
            assert part.expected <= part.high <= 1


def test_the_same_draws_give_the_same_interval() -> None:
    sample = ladder([2, 6, 8, 10])
    assert reach(sample, 0.8) == reach(sample, 0.8)


@pytest.mark.parametrize("images", [0, MIN_KEPT - 1])
def test_too_few_images_are_refused(images: int) -> None:
    sample = np.linspace(0, 1, images), np.ones(images, np.bool_)
    for find in (lambda: reach(sample, 0.5), lambda: keep_share(*sample, 0.5)):
        with pytest.raises(ValueError, match=f"a threshold needs at least 20 images, there are {images}"):
            find()


@pytest.mark.parametrize("wrong", [-0.1, 1.01, float("nan")])
def test_what_is_no_share_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="accuracy: expected 0 to 1, got"):
        reach(ladder([5, 5]), wrong)
    with pytest.raises(ValueError, match="share: expected 0 to 1, got"):
        keep_share(*ladder([5, 5]), wrong)


def informative(rng: np.random.Generator) -> Sample:
    """Return a score that tells where the worker fails."""
    scores = rng.uniform(size=200)
    return scores, rng.uniform(size=200) < 1 / (1 + np.exp(3.2 - 8 * scores))


def uninformative(rng: np.random.Generator) -> Sample:
    """Return a score that knows nothing: whatever accuracy a threshold reaches is chance."""
    return rng.uniform(size=200), rng.uniform(size=200) < 0.68


@pytest.mark.parametrize(("draw", "accuracy"), [(informative, 0.9), (uninformative, 0.75)])
def test_accuracy_on_other_images_is_in_the_interval_95_times_of_100(
    draw: Callable[[np.random.Generator], Sample], accuracy: float
) -> None:
    """Wilson's interval, as if the threshold had not been chosen on these images, holds about 80 times."""
    rng = np.random.default_rng(0)
    held: dict[str, list[bool]] = {"accuracy": [], "kept": []}
    expected, reached = [], []
    while len(held["accuracy"]) < 100:
        try:
            found = reach_accuracy(*draw(rng), accuracy, rng)
        except UnreachableAccuracyError:
            continue
        scores, right = draw(rng)
        above = scores >= found.score
        if not above.any():
            continue
        held["accuracy"].append(found.accuracy.low <= right[above].mean() <= found.accuracy.high)
        held["kept"].append(found.kept.low <= above.mean() <= found.kept.high)
        expected.append(found.accuracy.expected)
        reached.append(right[above].mean())
    # Of 100 true 95 % intervals fewer than 90 hold in one case of 35.
    assert sum(held["accuracy"]) >= 90
    assert sum(held["kept"]) >= 90
    # A score that knows nothing promises .06 too much; the bootstrap finds half of it.
    assert np.mean(expected) == pytest.approx(np.mean(reached), abs=0.04)
