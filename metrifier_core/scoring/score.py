"""The score of a file, and the decision that a threshold makes of it."""

from dataclasses import dataclass
from typing import Literal

QUALITY_DECIMALS = 6
"""Decimals of a quality that is written down."""

Decision = Literal["accept", "reject"]


@dataclass(frozen=True)
class Score:
    """The score of one file: its quality in [0, 1], or the error that prevented it."""

    path: str
    quality: float | None
    error: str | None


def round_quality(quality: float) -> float:
    """Round a quality as tables do, so that whoever reads a table decides as its writer did."""
    return round(quality, QUALITY_DECIMALS)


def decide(quality: float | None, threshold: float) -> Decision:
    """Accept a quality of at least the threshold; reject a missing one."""
    return "accept" if quality is not None and round_quality(quality) >= threshold else "reject"
