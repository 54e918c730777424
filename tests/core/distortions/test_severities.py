"""Every severity is worse than the one before, at the levels of the table."""

import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from metrifier_core.distortions import (
    SEVERITIES,
    TARGETS,
    Distortion,
    apply_severities,
    default_severities,
    get_distortion,
    list_distortions,
)
from tests.helpers.example_images import natural_image, noise_image, psnr

DISTORTIONS = list_distortions()
TABLE = default_severities()

every_distortion = pytest.mark.parametrize("distortion", DISTORTIONS)


@every_distortion
@pytest.mark.parametrize("make_image", [natural_image, noise_image])
def test_every_severity_is_worse_than_the_one_before(distortion: str, make_image: Any) -> None:
    for seed in range(50):
        image = make_image(seed, 64, 96)
        made = apply_severities(image, distortion, SEVERITIES, np.random.default_rng(seed))
        quality = [psnr(distorted, image) for distorted in made]
        assert np.all(np.diff(quality) < 0), f"image {seed}: {np.round(quality, 3)} dB"


# The table that the package ships


def test_the_table_has_every_distortion_and_no_other() -> None:
    assert sorted(TABLE.distortions) == DISTORTIONS
    assert TABLE.targets == TARGETS


@every_distortion
def test_levels_go_from_mild_to_severe_within_the_bounds(distortion: str) -> None:
    found = get_distortion(distortion)
    levels = TABLE.distortions[distortion].levels
    assert levels == found.severity_levels
    mildest, severest = found.bounds
    sign = np.sign(severest - mildest)
    assert all(sign * after > sign * before for before, after in pairwise(levels))
    assert min(found.bounds) <= min(levels) <= max(levels) <= max(found.bounds)
    if found.whole:
        assert all(level == int(level) for level in levels)


@every_distortion
def test_severities_cost_what_they_should(distortion: str) -> None:
    calibrated = TABLE.distortions[distortion]
    assert all(after < before for before, after in pairwise(calibrated.tcp)), "a higher severity leaves less"
    assert set(calibrated.unreachable) <= set(SEVERITIES)
    for severity, share, target in zip(SEVERITIES, calibrated.tcp, TARGETS, strict=True):
        assert severity in calibrated.unreachable or abs(share - target) <= 0.03


# Levels that a user gives


def wrong_levels(found: Distortion) -> dict[str, list[float]]:
    mildest, severest = found.bounds
    first, second, third, fourth, last = found.severity_levels
    return {
        "the wrong way": [last, fourth, third, second, first],
        "out of order": [first, third, second, fourth, last],
        "twice the same": [first, second, second, fourth, last],
        "milder than the mildest": [2 * mildest - severest, second, third, fourth, last],
        "more severe than the most severe": [first, second, third, fourth, 2 * severest - mildest],
    }


@every_distortion
def test_levels_that_cannot_be_are_refused(distortion: str) -> None:
    found = get_distortion(distortion)
    mildest, severest = found.bounds
    way = "rise" if severest > mildest else "fall"
    expected = re.escape(f"of {distortion}: levels must {way} from {mildest:g} to {severest:g}")
    for levels in wrong_levels(found).values():
        with pytest.raises(ValueError, match=f"{expected}$"):
            found.check_levels(levels)  # type: ignore[arg-type]


@pytest.mark.parametrize("distortion", ["jpeg", "posterize", "webp"])
def test_broken_levels_are_refused_where_they_should_be_whole(distortion: str) -> None:
    found = get_distortion(distortion)
    first, second, third, fourth, last = found.severity_levels
    with pytest.raises(ValueError, match=f"of {distortion}: levels must be whole numbers$"):
        found.check_levels((first, second, third, fourth, last + 0.5))


@every_distortion
def test_levels_up_to_the_bounds_are_accepted(distortion: str) -> None:
    found = get_distortion(distortion)
    mildest, severest = found.bounds
    found.check_levels((mildest, *found.severity_levels[1:4], severest))
