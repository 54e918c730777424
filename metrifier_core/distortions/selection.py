"""Which versions of a source image are made."""

from typing import Any, Self

import numpy as np
from pydantic import Field, ValidationInfo, field_validator, model_validator

from metrifier_core.distortions.application import PRISTINE, version_seed
from metrifier_core.distortions.registry import get_distortion, list_distortions, module_digest
from metrifier_core.distortions.severities import SEVERITIES, Levels, read_severities
from metrifier_core.settings.base import Settings, check_different, config_path

_HELD_OUT = ("zoom_blur", "webp", "chroma_noise", "fog")


class DistortionSettings(Settings):
    """The distortions of a run.

    Where `types` is left out it is all of the package that are not held out, and where `held_out` is, too, four of
    different families are held out.
    """

    types: list[str] = Field(min_length=1, description="distortions of every split, each by name or module:function")
    held_out: list[str] = Field([], description="distortions that only test images get")
    severities: list[int] = Field(list(SEVERITIES), min_length=1)
    versions_per_source: int | None = Field(
        None, ge=1, description="distorted versions sampled for each source image; all where left out"
    )
    levels: dict[str, Levels] = Field(
        {},
        description="the parameter of types at severity 1 to 5, or the path of a YAML file that `metrifier distort "
        "calibrate` wrote; the package's levels for what is left out",
    )
    modules: dict[str, str] = Field(
        {}, description="filled in: SHA-256 of the files of your own modules, so that another code is another run"
    )

    @model_validator(mode="before")
    @classmethod
    def _choose_types(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "types" in values:
            return values
        held_out = values.get("held_out", list(_HELD_OUT))
        if not isinstance(held_out, list):
            return values
        own = (get_distortion(name) for name in list_distortions() if ":" not in name)
        types = [found.name for found in own if not found.test_only and found.name not in held_out]
        return {**values, "types": types, "held_out": held_out}

    @field_validator("levels", mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str):
            return value
        return dict(read_severities(config_path(value, info)).levels)

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
        for name in self.types:
            if get_distortion(name).test_only:
                raise ValueError(f"'{name}' is for tests alone: name it in held_out")
        # The levels in use travel on, and no others: a run is the same wherever its package's levels stand.
        used = {name: self.levels.get(name) or get_distortion(name).severity_levels for name in self.names}
        for name, levels in used.items():
            get_distortion(name).check_levels(levels)
        for name in self.levels:
            get_distortion(name)  # a name that is misspelt is not passed over
        object.__setattr__(self, "levels", used)
        return self

    @model_validator(mode="after")
    def _identify_modules(self) -> Self:
        modules = {name.partition(":")[0] for name in self.names if ":" in name}
        found = {module: module_digest(module) for module in sorted(modules)}
        for module, digest in self.modules.items():
            if found.get(module) != digest:
                raise ValueError(f"the module '{module}' here is not the one that this run was made with")
        object.__setattr__(self, "modules", found)
        return self

    @property
    def names(self) -> list[str]:
        """All distortions of the run, held-out ones last."""
        return [*self.types, *self.held_out]


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
