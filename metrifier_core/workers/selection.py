"""Which workers make the label of a run, and which only judge it."""

from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from metrifier_core.settings import Settings, closest
from metrifier_core.workers.catalogue import WorkerSpec
from metrifier_core.workers.miniature import MINIATURES

__all__ = ["WorkerSettings"]


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
        path = (Path((info.context or {}).get("folder", ".")) / Path(value).expanduser()).resolve()
        if not path.is_file():
            raise ValueError(f"there is no file {path}")
        try:
            entries = YAML(typ="safe", pure=True).load(path)
        except YAMLError as error:
            raise ValueError(f"{path} is not YAML: {error}") from error
        # Paths in a catalogue are relative to the catalogue.
        for name, entry in (entries or {}).items():
            if isinstance(entry, dict) and isinstance(entry.get("file"), str):
                entries[name]["file"] = str((path.parent / entry["file"]).resolve())
        return entries

    @model_validator(mode="after")
    def _choose(self) -> Self:
        known = {**MINIATURES, **self.catalogue}
        for role, chosen in (("label", self.label), ("held_out", self.held_out)):
            for name in chosen:
                if name not in known:
                    raise ValueError(f"{role}: unknown worker '{name}', {closest(name, list(known))}")
            if len(set(chosen)) < len(chosen):
                raise ValueError(f"{role}: a worker is named twice")
        both = sorted(set(self.label) & set(self.held_out))
        if both:
            raise ValueError(f"'{both[0]}' is in label and in held_out: a worker that makes the label cannot judge it")
        families = {known[name].family for name in self.label}
        related = sorted(name for name in self.held_out if known[name].family in families)
        if related:
            family = known[related[0]].family
            raise ValueError(f"held_out: '{related[0]}' is of the family '{family}', which also has a label worker")
        # Only what the run uses travels on, so that an unrelated entry never makes work stale.
        used = {name: known[name] for name in [*self.label, *self.held_out]}
        object.__setattr__(self, "catalogue", used)
        return self

    @property
    def names(self) -> list[str]:
        """All workers of the run, label workers first."""
        return [*self.label, *self.held_out]
