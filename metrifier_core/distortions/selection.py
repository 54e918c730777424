"""Which versions of a source image are made."""

from typing import Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from metrifier_core.distortions.registry import PRISTINE, SEVERITIES, get_distortion, version_seed
from metrifier_core.settings import Settings, check_different

__all__ = ["DistortionSettings", "choose_versions"]


class DistortionSettings(Settings):
    """The distortions of a run."""

    types: list[str] = Field(min_length=1, description="distortions of every split")
    held_out: list[str] = Field([], description="distortions that only test images get")
    severities: list[int] = Field(list(SEVERITIES), min_length=1)
    versions_per_source: int | None = Field(
        None, ge=1, description="distorted versions sampled for each source image; all where left out"
    )

    @field_validator("types", "held_out")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            get_distortion(name)
        check_different(names)
        return names

    @field_validator("severities")
    @classmethod
    def _in_range(cls, severities: list[int]) -> list[int]:
        if len(set(severities)) < len(severities) or not set(severities) <= set(SEVERITIES):
            raise ValueError(f"{severities}: expected different numbers from {SEVERITIES[0]} to {SEVERITIES[-1]}")
        return severities

    @model_validator(mode="after")
    def _apart(self) -> Self:
        both = sorted(set(self.types) & set(self.held_out))
        if both:
            raise ValueError(f"'{both[0]}' is in types and in held_out: a held-out distortion is never trained on")
        return self


def choose_versions(image_id: str, split: str, settings: DistortionSettings, seed: int) -> list[tuple[str, int]]:
    """Chooses the versions of one source image: the pristine one and a sample of the distorted ones.

    Args:
        image_id: Identity of the source image.
        split: Its split; only test images get held-out distortions.
        settings: The run's distortions.
        seed: The config's seed.

    Returns:
        (distortion, severity) pairs, pristine first; the same whatever else is in the run.
    """
    chosen = [(PRISTINE, 0)]
    for group, types in (
        ("types", settings.types),
        ("held_out", settings.held_out if split == "test" else []),
    ):
        candidates = [(name, severity) for name in types for severity in settings.severities]
        if settings.versions_per_source is not None and candidates:
            rng = np.random.default_rng(version_seed(seed, image_id, group))
            # The first of a permutation: a larger sample has all of a smaller one.
            kept = rng.permutation(len(candidates))[: settings.versions_per_source]
            candidates = [candidates[index] for index in sorted(kept)]
        chosen += candidates
    return chosen
