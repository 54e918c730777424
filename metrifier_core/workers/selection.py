"""The choice of a run's workers: which make the label, and which only judge the metrifier."""

import re
from typing import Any, Self

from pydantic import Field, ModelWrapValidatorHandler, ValidationInfo, field_validator, model_validator

from metrifier_core.settings.base import Settings, check_different, config_path
from metrifier_core.workers.catalogue import WorkerSpec, get_worker, read_entries

# A worker's name becomes part of file and metric names; `mean` is the mean of all held-out workers.
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]*")


class WorkerSettings(Settings):
    """The workers of a run."""

    catalogue: dict[str, WorkerSpec] = Field(
        {}, description="entries by name, or the path of a YAML file that holds them; known ones need none"
    )
    label: list[str] = Field(min_length=1)
    held_out: list[str] = Field([], description="none where families are left out one after the other")
    together: int | None = Field(
        None, ge=1, description="workers a task, which decodes every version once for them; all where left out"
    )

    @field_validator("catalogue", mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:
        return read_entries(config_path(value, info)) if isinstance(value, str) else value

    @field_validator("label", "held_out")
    @classmethod
    def _check_names(cls, names: list[str], info: ValidationInfo) -> list[str]:
        check_different(names)
        for name in names:
            if name == "mean" or not _NAME.fullmatch(name):
                raise ValueError(f"'{name}' cannot name a worker: letters, digits, '.', '_', '-', and not 'mean'")
            if "catalogue" in info.data:  # else it has mistakes of its own, and its names are unknown
                get_worker(name, info.data["catalogue"])
        return names

    @model_validator(mode="after")
    def _check_families(self) -> Self:
        both = sorted(set(self.label) & set(self.held_out))
        if both:
            raise ValueError(f"'{both[0]}' is in label and in held_out: a worker that makes the label cannot judge it")
        families = {get_worker(name, self.catalogue).family: name for name in self.label}
        for name in self.held_out:
            family = get_worker(name, self.catalogue).family
            if family in families:
                raise ValueError(f"'{name}' in held_out is of the family '{family}', as '{families[family]}' in label")
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _keep_used_entries(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Drop the entries that the run does not use, so that a change of those never makes work stale."""
        settings = validate(values)
        used = {name: get_worker(name, settings.catalogue) for name in settings.names}
        return validate({**dict(settings), "catalogue": used})

    def holding_out(self, family: str | None) -> Self:
        """Return the same workers with one family held out and all others as label workers.

        Args:
            family: Family's name; None holds nothing out.

        Raises:
            ValueError: No worker is of that family, or all are.
        """
        held_out = [name for name in self.names if self.catalogue[name].family == family]
        if family is not None and not held_out:
            raise ValueError(f"workers: expected one of the families {', '.join(self.families)}, got '{family}'")
        label = [name for name in self.names if name not in held_out]
        if not label:
            raise ValueError(f"workers: all are of the family '{family}', none is left to make the label")
        return self.model_validate({**self.model_dump(mode="json"), "label": label, "held_out": held_out})

    @property
    def families(self) -> list[str]:
        """The families of all workers, sorted."""
        return sorted({self.catalogue[name].family for name in self.names})

    @property
    def names(self) -> list[str]:
        """All workers of the run, label workers first."""
        return [*self.label, *self.held_out]

    @property
    def groups(self) -> list[list[str]]:
        """The workers per task; workers of reduced precision, which is set per process, have tasks of their own."""
        size = self.together or len(self.names)
        alike = [[name for name in self.names if self.catalogue[name].reduced_precision is on] for on in (False, True)]
        return [names[start : start + size] for names in alike for start in range(0, len(names), size)]
