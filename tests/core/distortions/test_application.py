"""Every distortion is a pure function of an image, a severity and a generator, and is stored losslessly."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrifier_core.distortions import (
    PRISTINE,
    SEVERITIES,
    Levels,
    apply_distortion,
    apply_severities,
    encode_versions,
    get_distortion,
    list_distortions,
    version_seed,
)
from metrifier_core.images import ImageError, decode_image
from tests.helpers.example_images import IMAGES, distort, drawn_image, flat_image

DISTORTIONS = list_distortions()
IMAGE = drawn_image()[:48, :65].copy()

every_distortion = pytest.mark.parametrize("distortion", DISTORTIONS)


# Pixels


@every_distortion
@given(st.integers(8, 40), st.integers(8, 40), st.sampled_from(SEVERITIES))
@settings(max_examples=20)
def test_any_size_is_kept(distortion: str, height: int, width: int, severity: int) -> None:
    distorted = distort(IMAGE[:height, :width], distortion, severity)
    assert distorted.shape == (height, width, 3)
    assert distorted.dtype == np.uint8


@every_distortion
@pytest.mark.parametrize("size", [(8, 8), (8, 1000), (1000, 8), (9, 31)])
def test_thin_and_small_images_are_distorted(distortion: str, size: tuple[int, int]) -> None:
    image = np.resize(IMAGE, (*size, 3))
    for distorted in apply_severities(image, distortion, SEVERITIES, np.random.default_rng(1)):
        assert distorted.shape == image.shape
        assert distorted.flags.c_contiguous
        assert distorted.flags.writeable
    assert not np.array_equal(distorted, image)


@every_distortion
def test_the_input_is_not_changed(distortion: str) -> None:
    image = IMAGE.copy()
    image.flags.writeable = False
    made = apply_severities(image, distortion, SEVERITIES, np.random.default_rng(0))
    for index, distorted in enumerate(made):
        assert not np.array_equal(distorted, image)
        for other in (image, *made[:index]):
            assert not np.shares_memory(distorted, other)
    np.testing.assert_array_equal(image, IMAGE)


@every_distortion
def test_a_view_is_distorted_as_its_copy(distortion: str) -> None:
    for view in (drawn_image()[10:90:2, 100:20:-2], drawn_image()[::-1, :50, ::-1], drawn_image().transpose(1, 0, 2)):
        np.testing.assert_array_equal(distort(view, distortion, 3), distort(view.copy(), distortion, 3))


FLAT_STAYS_AS_IT_IS = [*list_distortions("blur"), *list_distortions("resolution"), "contrast"]
FLAT_BECOMES_ANOTHER_TONE = ["brightness", "low_light", "posterize"]


@pytest.mark.parametrize("distortion", FLAT_STAYS_AS_IT_IS)
def test_a_flat_image_stays_as_it_is(distortion: str) -> None:
    for flat in (flat_image(24, 31, 90, 141, 200), flat_image(24, 31, 0), flat_image(24, 31, 255)):
        for severity in SEVERITIES:
            np.testing.assert_array_equal(distort(flat, distortion, severity), flat)


@pytest.mark.parametrize("distortion", FLAT_BECOMES_ANOTHER_TONE)
def test_a_flat_image_stays_flat(distortion: str) -> None:
    for severity in SEVERITIES:
        distorted = distort(flat_image(24, 31, 90, 141, 200), distortion, severity)
        assert len(np.unique(distorted.reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize("distortion", list_distortions("compression"))
def test_a_flat_image_stays_almost_flat_in_a_codec(distortion: str) -> None:
    for severity in SEVERITIES:
        distorted = distort(flat_image(24, 32, 128), distortion, severity)
        assert np.abs(distorted.astype(int) - 128).max() <= 2, "codecs may round"


@pytest.mark.parametrize("distortion", [*list_distortions("noise"), "fog", "plasma"])
def test_a_flat_image_gets_structure(distortion: str) -> None:
    spread = [distort(flat_image(64, 64, 128), distortion, severity).std() for severity in SEVERITIES]
    assert spread[0] > 1
    assert spread[4] > 10


# Randomness


@every_distortion
def test_all_severities_share_one_random_field(distortion: str) -> None:
    states = []
    for severity in SEVERITIES:
        rng = np.random.default_rng(7)
        apply_distortion(IMAGE, distortion, severity, rng)
        states.append(rng.bit_generator.state)
    assert all(state == states[0] for state in states)


@every_distortion
def test_severities_together_are_as_one_by_one(distortion: str) -> None:
    one_by_one = {severity: distort(IMAGE, distortion, severity, 5) for severity in SEVERITIES}
    for wanted in ([1, 2, 3, 4, 5], [5, 1, 3], [2, 4, 4], []):
        together = apply_severities(IMAGE, distortion, wanted, np.random.default_rng(5))
        assert len(together) == len(wanted)
        for severity, distorted in zip(wanted, together, strict=True):
            np.testing.assert_array_equal(distorted, one_by_one[severity])


RANDOM = [*list_distortions("noise"), "checkerboard", "fog", "motion_blur", "plasma"]


@every_distortion
def test_the_seed_decides_what_is_random_and_nothing_else(distortion: str) -> None:
    images = [distort(IMAGE, distortion, 3, seed) for seed in (0, 1, 0)]
    np.testing.assert_array_equal(images[0], images[2])
    assert np.array_equal(images[0], images[1]) == (distortion not in RANDOM)


def milder(distortion: str) -> Levels:
    """Return levels whose severity 2 is severity 1 of the package."""
    first, second, third, fourth, _ = get_distortion(distortion).severity_levels
    return get_distortion(distortion).bounds[0], first, second, third, fourth


@every_distortion
def test_levels_are_checked_before_they_are_used(distortion: str) -> None:
    backwards: Any = get_distortion(distortion).severity_levels[::-1]
    for wrong in (backwards, backwards[:2]):
        with pytest.raises(ValueError, match=f"of {distortion}: levels must"):
            apply_severities(IMAGE, distortion, [1], np.random.default_rng(0), levels=wrong)
        with pytest.raises(ValueError, match=f"of {distortion}: levels must"):
            encode_versions(IMAGE, distortion, [1], seed=0, levels=wrong)


@every_distortion
def test_own_levels_take_the_place_of_the_packages(distortion: str) -> None:
    for severity in (2, 3, 4, 5):
        made = apply_severities(IMAGE, distortion, [severity], np.random.default_rng(0), levels=milder(distortion))[0]
        np.testing.assert_array_equal(made, distort(IMAGE, distortion, severity - 1))


def test_a_seed_belongs_to_an_image_and_a_type() -> None:
    """Golden values: a change would change every data set."""
    assert version_seed(0, "digit-0000", "gaussian_noise") == 534028362390171350
    assert version_seed(0, "digit-0000", PRISTINE) == 8658446235389392519
    seeds = {version_seed(seed, image, name) for seed in (0, 1) for image in ("a", "b") for name in DISTORTIONS}
    assert len(seeds) == 4 * len(DISTORTIONS)
    assert max(seeds) < 2**63, "it has to fit into a signed column"


# Stored versions


@pytest.mark.parametrize("image", IMAGES)
@every_distortion
def test_stored_versions_are_lossless(distortion: str, image: str) -> None:
    source = IMAGES[image]()
    stored = encode_versions(source, distortion, SEVERITIES, seed=11)
    assert len(stored) == len(SEVERITIES)
    for severity, data in zip(SEVERITIES, stored, strict=True):
        np.testing.assert_array_equal(decode_image(data), distort(source, distortion, severity, seed=11))


@every_distortion
def test_stored_versions_are_the_same_again_and_one_by_one(distortion: str) -> None:
    stored = encode_versions(IMAGE, distortion, SEVERITIES, seed=11)
    assert encode_versions(IMAGE, distortion, [5, 3], seed=11) == [stored[4], stored[2]]
    own = encode_versions(IMAGE, distortion, [5, 2], seed=11, levels=milder(distortion))
    assert own == [stored[3], stored[0]]


# Errors

NO_IMAGES = [
    (IMAGE.astype(np.float32) / 255, "got float32 .*: multiply by 255"),
    (IMAGE.astype(np.int64), "got int64"),
    (IMAGE[:, :, 0], r"got uint8 \(48, 65\)"),
    (IMAGE[None], r"got uint8 \(1, 48, 65, 3\)"),
    (np.zeros((16, 16, 4), np.uint8), r"got uint8 \(16, 16, 4\)"),
    (IMAGE[:7], "65 x 7 pixels: each side must be at least 8"),
    (IMAGE[:1], "65 x 1 pixels: each side must be at least 8"),
    (IMAGE[:, :1], "1 x 48 pixels: each side must be at least 8"),
    (IMAGE[:0], "65 x 0 pixels: each side must be at least 8"),
    ("image.png", "got str"),
]


@every_distortion
@pytest.mark.parametrize(("image", "reason"), NO_IMAGES)
def test_what_is_no_image_is_refused(distortion: str, image: Any, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        distort(image, distortion, 1)
    with pytest.raises(ImageError, match=reason):
        encode_versions(image, distortion, [1], seed=0)


@every_distortion
@pytest.mark.parametrize("severity", [0, 6, -1, 2.5, 1.0, True, "3", None])
def test_a_severity_out_of_range_is_refused(distortion: str, severity: Any) -> None:
    with pytest.raises(
        ValueError, match=f"^severity of {distortion}: expected an integer from 1 to 5, got {severity!r}$"
    ):
        distort(IMAGE, distortion, severity)
    with pytest.raises(ValueError, match="expected an integer from 1 to 5"):
        apply_severities(IMAGE, distortion, [1, severity], np.random.default_rng(0))
    with pytest.raises(ValueError, match="expected an integer from 1 to 5"):
        encode_versions(IMAGE, distortion, [1, severity], seed=0)


def test_an_unknown_name_is_refused_with_what_is_close() -> None:
    with pytest.raises(ValueError, match=r"^unknown distortion 'gausian_noise', did you mean 'gaussian_noise'\?$"):
        get_distortion("gausian_noise")
    with pytest.raises(ValueError, match=r"^unknown distortion 'xyz', allowed: .*contrast, .*jpeg"):
        distort(IMAGE, "xyz", 1)
    with pytest.raises(ValueError, match="unknown distortion 'pristine'"):
        encode_versions(IMAGE, PRISTINE, [1], seed=0)


# The registry


def test_there_are_twenty_distortions_in_seven_families() -> None:
    families = ["blur", "compression", "noise", "resolution", "tone", "unseen", "weather"]
    listed = [name for family in families for name in list_distortions(family)]
    assert len(set(listed)) == len(listed)
    assert sorted(listed) == list_distortions()
    assert len(DISTORTIONS) == 20
    assert list_distortions("smell") == []


def test_only_the_unseen_are_for_tests_alone() -> None:
    assert [name for name in DISTORTIONS if get_distortion(name).test_only] == list_distortions("unseen")
