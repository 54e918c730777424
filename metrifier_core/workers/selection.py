"""Which workers make the label of a run, and which only judge it."""

import re
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from metrifier_core.settings import Settings, check_different, closest, config_path
from metrifier_core.workers.catalogue import WorkerSpec
from metrifier_core.workers.miniature import MINIATURES
from metrifier_core.yaml import read_yaml

__all__ = ["WorkerSettings"]


# A worker's name becomes the name of files and metrics; `mean` is that of all held-out workers together.
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]*")


class WorkerSettings(Settings):
    """The workers of a run."""

    catalogue: dict[str, WorkerSpec] = Field(
        {}, description="entries by name, or the path of a YAML file that holds them; miniatures need none"
    )
    label: list[str] = Field(min_length=1)
    held_out: list[str] = Field(min_length=1)

    @field_validator("catalogue", mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str):
            return value
        path = config_path(value, info)
        if not path.is_file():
            raise ValueError(f"there is no file {path}")
        entries = read_yaml(path)
        if not isinstance(entries, dict):
            raise ValueError(f"{path} holds no workers")
        # Paths in a catalogue are relative to the catalogue.
        for entry in entries.values():
            if isinstance(entry, dict) and isinstance(entry.get("file"), str):
                entry["file"] = str((path.parent / Path(entry["file"]).expanduser()).resolve())
        return entries

    @field_validator("label", "held_out")
    @classmethod
    def _known(cls, names: list[str], info: ValidationInfo) -> list[str]:
        check_different(names)
        for name in names:
            if name == "mean" or not _NAME.fullmatch(name):
                raise ValueError(f"'{name}' cannot name a worker: letters, digits, '.', '_', '-', and not 'mean'")
        # Where the catalogue is wrong itself, nothing is known of what stands in it.
        if "catalogue" in info.data:
            known = {**MINIATURES, **info.data["catalogue"]}
            for name in names:
                if name not in known:
                    raise ValueError(f"unknown worker '{name}', {closest(name, list(known))}")
        return names

    @model_validator(mode="after")
    def _choose(self) -> Self:
        known = {**MINIATURES, **self.catalogue}
        both = sorted(set(self.label) & set(self.held_out))
        if both:
            raise ValueError(f"'{both[0]}' is in label and in held_out: a worker that makes the label cannot judge it")
        families = {known[name].family: name for name in self.label}
        for name in self.held_out:
            family = known[name].family
            if family in families:
                raise ValueError(f"'{name}' in held_out is of the family '{family}', as '{families[family]}' in label")
        # Only what the run uses travels on, so that an unrelated entry never makes work stale.
        used = {name: known[name] for name in [*self.label, *self.held_out]}
        object.__setattr__(self, "catalogue", used)
        return self

    @property
    def names(self) -> list[str]:
        """All workers of the run, label workers first."""
        return [*self.label, *self.held_out]
