"""The split of a source image, by a stable hash of its identity, so that versions never straddle splits."""

import fnmatch
import hashlib
import math
from collections.abc import Sequence
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from metrifier_core.settings.base import Settings

Split = Literal["worker_train", "calibration", "train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
NEEDED_SPLITS: tuple[Split, ...] = SPLITS[1:]
"""The splits that every run needs; `worker_train` is needed only where workers are trained."""
VERSION_SPLITS: tuple[Split, ...] = SPLITS[1:]
"""The splits whose source images are distorted; workers learn from the clean images of `worker_train` alone."""


class SplitRule(Settings):
    """How the source images whose identity matches a pattern are shared out; the fractions add up to 1."""

    match: str = Field("*", description="shell pattern on image_id; the first rule that matches counts")
    worker_train: float = Field(0.0, ge=0, le=1)
    calibration: float = Field(0.0, ge=0, le=1)
    train: float = Field(0.0, ge=0, le=1)
    validation: float = Field(0.0, ge=0, le=1)
    test: float = Field(0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _check_sum(self) -> Self:
        total = math.fsum(getattr(self, split) for split in SPLITS)
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"the fractions of '{self.match}' add up to {total:g}, not to 1")
        return self


def stable_fraction(text: str) -> float:
    """Map a text to a number in [0, 1) that is the same on every machine and in every run."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") / 2**56


def assign_split(image_id: str, rules: Sequence[SplitRule]) -> Split | None:
    """Return the split of a source image by the first rule that matches its identity; None where none does."""
    rule = next((rule for rule in rules if fnmatch.fnmatchcase(image_id, rule.match)), None)
    if rule is None:
        return None
    edge = 0.0
    position = stable_fraction(f"split/{image_id}")
    used = [split for split in SPLITS if getattr(rule, split) > 0]
    for split in used:
        edge += getattr(rule, split)
        if position < edge:
            return split
    return used[-1]  # rounding may leave the last edge below 1
