"""The score of a file, and what a threshold makes of it."""

from dataclasses import dataclass
from typing import Literal

QUALITY_DECIMALS = 6
"""As many as are written of a quality."""

Decision = Literal["accept", "reject"]


@dataclass(frozen=True)
class Score:
    """The score of one file: a quality, or the error that stood in its way."""

    path: str
    quality: float | None
    error: str | None


def round_quality(quality: float) -> float:
    """Rounds a quality to what is written of it, so that who reads a table decides as its writer did."""
    return round(quality, QUALITY_DECIMALS)


def decide(quality: float | None, threshold: float) -> Decision:
    """Accepts what scores at least a threshold; never what could not be scored."""
    return "accept" if quality is not None and round_quality(quality) >= threshold else "reject"
