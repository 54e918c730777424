"""The distortions of a run, and the versions of a source image that it makes."""

import hashlib
import sys
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, ValidationInfo, field_validator, model_validator

from metrifier_core.distortions.application import PRISTINE, version_seed
from metrifier_core.distortions.registry import get_distortion, list_distortions
from metrifier_core.distortions.severities import SEVERITIES, Levels, read_severities
from metrifier_core.settings.base import Settings, check_different, config_path

_HELD_OUT = ("zoom_blur", "webp", "chroma_noise", "fog")


def _names(info: ValidationInfo) -> list[str]:
    """Return the names in the fields validated so far; a field with errors has none."""
    return [*info.data.get("types", []), *info.data.get("held_out", [])]


class DistortionSettings(Settings):
    """The distortions of a run.

    Without `types`, all of the package's that are not held out; without `held_out` either, four of different families
    are held out.
    """

    types: list[str] = Field(min_length=1, description="distortions of every split, each by name or module:function")
    held_out: list[str] = Field([], description="distortions that only test images get")
    severities: list[int] = Field(list(SEVERITIES), min_length=1)
    versions_per_source: int | None = Field(
        None, ge=1, description="distorted versions sampled for each source image; all if left out"
    )
    levels: dict[str, Levels] = Field(
        {},
        validate_default=True,
        description="the parameter of types at severity 1 to 5, or the path of a YAML file that `metrifier distort "
        "calibrate` wrote; the package's levels for what is left out",
    )
    modules: dict[str, str] = Field(
        {},
        validate_default=True,
        description="filled in: SHA-256 of the files of your own modules, so that changed code is another run",
    )

    @model_validator(mode="before")
    @classmethod
    def _choose_types(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "types" in values:
            return values
        held_out = values.get("held_out", list(_HELD_OUT))
        if not isinstance(held_out, list):
            return values
        candidates = (get_distortion(name) for name in list_distortions() if ":" not in name)
        types = [each.name for each in candidates if not each.test_only and each.name not in held_out]
        return {**values, "types": types, "held_out": held_out}

    @field_validator("types", "held_out")
    @classmethod
    def _check_names(cls, names: list[str]) -> list[str]:
        for name in names:
            get_distortion(name)
        check_different(names)
        return names

    @field_validator("severities")
    @classmethod
    def _check_severities(cls, severities: list[int]) -> list[int]:
        if len(set(severities)) < len(severities) or not set(severities) <= set(SEVERITIES):
            raise ValueError(f"{severities}: expected different numbers from {SEVERITIES[0]} to {SEVERITIES[-1]}")
        return severities

    @field_validator("levels", mode="before")
    @classmethod
    def _read_levels(cls, value: Any, info: ValidationInfo) -> Any:
        return dict(read_severities(config_path(value, info)).levels) if isinstance(value, str) else value

    @field_validator("levels")
    @classmethod
    def _fill_in_levels(cls, levels: dict[str, Levels], info: ValidationInfo) -> dict[str, Levels]:
        """Keep the levels of all distortions in use, and no others: a run does not depend on the package's file."""
        for name in levels:
            get_distortion(name)  # a misspelt name is an error, even where it would not be used
        used = {name: levels.get(name) or get_distortion(name).severity_levels for name in _names(info)}
        for name, its_levels in used.items():
            get_distortion(name).check_levels(its_levels)
        return used

    @field_validator("modules")
    @classmethod
    def _identify_modules(cls, modules: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        current = {}
        for module in sorted({name.partition(":")[0] for name in _names(info) if ":" in name}):
            file = sys.modules[module].__file__
            current[module] = hashlib.sha256(Path(file).read_bytes() if file else b"").hexdigest()
        for module, digest in modules.items():
            if current.get(module) != digest:
                raise ValueError(f"the code of module '{module}' differs from the code that this run was made with")
        return current

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        both = sorted(set(self.types) & set(self.held_out))
        if both:
            raise ValueError(f"'{both[0]}' is in types and in held_out: a held-out distortion is never trained on")
        for name in self.types:
            if get_distortion(name).test_only:
                raise ValueError(f"'{name}' is for testing only: list it in held_out")
        return self

    @property
    def names(self) -> list[str]:
        """Return all distortions of the run, held-out ones last."""
        return [*self.types, *self.held_out]


def choose_versions(image_id: str, split: str, settings: DistortionSettings, seed: int) -> list[tuple[str, int]]:
    """Choose the versions of one source image: the pristine one and a sample of the distorted ones.

    Args:
        image_id: Identity of the source image.
        split: Its split; only test images get held-out distortions.
        settings: The run's distortions.
        seed: The config's seed.

    Returns:
        (distortion, severity) pairs, pristine first; they do not depend on the run's other images.
    """
    chosen = [(PRISTINE, 0)]
    groups = {"types": settings.types, "held_out": settings.held_out if split == "test" else []}
    for group, names in groups.items():
        candidates = [(name, severity) for name in names for severity in settings.severities]
        if settings.versions_per_source is not None and candidates:
            rng = np.random.default_rng(version_seed(seed, image_id, group))
            # The start of a permutation: a larger sample contains every smaller one.
            kept = rng.permutation(len(candidates))[: settings.versions_per_source]
            candidates = [candidates[index] for index in sorted(kept)]
        chosen += candidates
    return chosen
