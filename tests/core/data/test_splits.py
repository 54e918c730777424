"""Splits depend on a source image's identity alone."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from metrifier_core.data import splits
from metrifier_core.data.splits import SPLITS, SplitRule, assign_split, stable_fraction

FIFTHS = SplitRule(worker_train=0.2, calibration=0.2, train=0.2, validation=0.2, test=0.2)
IDENTITIES = [f"n01440764/image-{index}.JPEG" for index in range(10_000)]


@pytest.mark.parametrize(
    ("text", "fraction"),
    # The first seven bytes of SHA-256, over 2^56; the first is the hash of the empty text.
    [("", 0xE3B0C44298FC1C / 2**56), ("abc", 0xBA7816BF8F01CF / 2**56)],
)
def test_a_fraction_is_the_start_of_sha256(text: str, fraction: float) -> None:
    assert stable_fraction(text) == fraction


@given(st.text())
@settings(deadline=None)
def test_fractions_are_from_0_to_below_1(text: str) -> None:
    assert 0 <= stable_fraction(text) < 1


def test_images_are_shared_out_as_the_rule_says() -> None:
    rule = SplitRule(worker_train=0.3, calibration=0.1, train=0.35, validation=0.1, test=0.15)
    counts = Counter(assign_split(identity, [rule]) for identity in IDENTITIES)
    for split in SPLITS:
        share = getattr(rule, split)
        deviation = (len(IDENTITIES) * share * (1 - share)) ** 0.5
        assert abs(counts[split] - len(IDENTITIES) * share) < 4 * deviation, split


def test_a_split_that_gets_nothing_has_no_images() -> None:
    rule = SplitRule(train=0.5, test=0.5)
    assert {assign_split(identity, [rule]) for identity in IDENTITIES} == {"train", "test"}


@given(st.text(), st.sampled_from(SPLITS))
@settings(deadline=None)
def test_a_whole_share_takes_every_image(identity: str, split: str) -> None:
    assert assign_split(identity, [SplitRule.model_validate({split: 1})]) == split


def test_more_training_takes_no_image_out_of_it() -> None:
    less, more = SplitRule(train=0.3, test=0.7), SplitRule(train=0.6, test=0.4)
    trained = {identity for identity in IDENTITIES if assign_split(identity, [less]) == "train"}
    assert trained < {identity for identity in IDENTITIES if assign_split(identity, [more]) == "train"}


def test_the_order_of_images_does_not_follow_their_split() -> None:
    """`max_sources` keeps the images of the smallest hash; the split has to hash something else."""
    first = sorted(IDENTITIES, key=lambda identity: stable_fraction(f"order/{identity}"))[:1000]
    counts = Counter(assign_split(identity, [FIFTHS]) for identity in first)
    assert min(counts[split] for split in SPLITS) > 150


def test_the_first_rule_that_matches_counts() -> None:
    rules = [SplitRule(match="val/*", test=1), SplitRule(match="val/[0-9]*", calibration=1), SplitRule(train=1)]
    assert assign_split("val/1.png", rules) == "test"
    assert assign_split("train/val/1.png", rules) == "train"
    assert assign_split("VAL/1.png", rules) == "train", "upper and lower case differ, on every system"


def test_an_image_that_no_rule_matches_is_left_out() -> None:
    assert assign_split("train/1.png", [SplitRule(match="val/*", test=1)]) is None


def test_rounding_leaves_no_image_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "stable_fraction", lambda _: 1 - 2**-53)
    assert assign_split("last", [SplitRule(calibration=0.3333333, train=0.6666666)]) == "train"


@pytest.mark.parametrize(
    ("fractions", "reason"),
    [
        ({}, "add up to 0, not to 1"),
        ({"train": 0.9}, "add up to 0.9, not to 1"),
        ({"train": 0.9, "test": 0.2}, "add up to 1.1, not to 1"),
        ({"train": -0.1, "test": 1.1}, "greater than or equal to 0"),
        ({"match": "a*", "train": 0.5}, "fractions of 'a\\*'"),
    ],
)
def test_fractions_that_do_not_add_up_are_refused(fractions: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        SplitRule.model_validate(fractions)


def test_fractions_may_add_up_as_floats_do() -> None:
    assert SplitRule(calibration=0.1, train=0.2, validation=0.3, test=0.4).test == 0.4
    assert 0.7 + 0.1 + 0.1 + 0.1 != 1
    assert SplitRule(worker_train=0.1, calibration=0.1, train=0.1, validation=0.7).train == 0.1
