"""The sample of an image's versions does not depend on the run's other images."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from metrifier_core.distortions import PRISTINE, SEVERITIES, DistortionSettings, choose_versions

SETTINGS = DistortionSettings(types=["jpeg", "contrast", "gaussian_noise"], held_out=["pixelate"])
IMAGES = [f"image-{index}" for index in range(200)]


def sampled(count: int, **others: Any) -> DistortionSettings:
    return SETTINGS.model_copy(update={"versions_per_source": count, **others})


def test_all_versions_are_made_where_no_number_is_given() -> None:
    versions = choose_versions("image", "train", SETTINGS, 0)
    assert versions == [(PRISTINE, 0), *((name, severity) for name in SETTINGS.types for severity in SEVERITIES)]


def test_held_out_distortions_are_for_test_images_alone() -> None:
    held_out = [("pixelate", severity) for severity in SEVERITIES]
    assert choose_versions("image", "test", SETTINGS, 0) == choose_versions("image", "train", SETTINGS, 0) + held_out
    for split in ("train", "validation"):
        assert not set(choose_versions("image", split, sampled(15), 0)) & set(held_out)


@pytest.mark.parametrize("count", [1, 4, 15, 100])
def test_a_sample_has_the_size_asked_for(count: int) -> None:
    for image in IMAGES[:20]:
        train, test = (choose_versions(image, split, sampled(count), 0) for split in ("train", "test"))
        assert train[0] == test[0] == (PRISTINE, 0)
        assert len(set(train)) == len(train) == 1 + min(count, 15)
        assert len(set(test)) == len(test) == 1 + min(count, 15) + min(count, 5)
        assert test[: len(train)] == train


def test_a_larger_sample_has_all_of_a_smaller_one() -> None:
    for image in IMAGES[:20]:
        samples = [set(choose_versions(image, "test", sampled(count), 0)) for count in range(1, 16)]
        assert all(smaller <= larger for smaller, larger in pairwise(samples))


def test_samples_differ_between_images_and_seeds_but_not_between_calls() -> None:
    samples = {image: choose_versions(image, "train", sampled(3), 0) for image in IMAGES}
    assert samples == {image: choose_versions(image, "train", sampled(3), 0) for image in reversed(IMAGES)}
    assert len(set(map(str, samples.values()))) > 100
    assert samples != {image: choose_versions(image, "train", sampled(3), 1) for image in IMAGES}


def test_samples_are_spread_evenly() -> None:
    chosen = [version for image in IMAGES for version in choose_versions(image, "train", sampled(3), 0)[1:]]
    counts = [chosen.count((name, severity)) for name in SETTINGS.types for severity in SEVERITIES]
    deviation = np.sqrt(len(IMAGES) * 0.2 * 0.8)
    assert np.abs(np.array(counts) - len(IMAGES) * 3 / 15).max() < 4 * deviation


def test_fewer_severities_make_fewer_versions() -> None:
    few = SETTINGS.model_copy(update={"severities": [2, 4]})
    assert {severity for _, severity in choose_versions("image", "train", few, 0)} == {0, 2, 4}
