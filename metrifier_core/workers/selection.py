"""Which workers make the label of a run, and which only judge it."""

import re
from typing import Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from metrifier_core.settings.base import Settings, check_different, config_path
from metrifier_core.workers.catalogue import WorkerSpec, find_spec, read_entries

# A worker's name becomes the name of files and metrics; `mean` is that of all held-out workers together.
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
        if not isinstance(value, str):
            return value
        return read_entries(config_path(value, info))

    @field_validator("label", "held_out")
    @classmethod
    def _known(cls, names: list[str], info: ValidationInfo) -> list[str]:
        check_different(names)
        for name in names:
            if name == "mean" or not _NAME.fullmatch(name):
                raise ValueError(f"'{name}' cannot name a worker: letters, digits, '.', '_', '-', and not 'mean'")
        # Where the catalogue is wrong itself, nothing is known of what stands in it.
        if "catalogue" in info.data:
            for name in names:
                find_spec(name, info.data["catalogue"])
        return names

    @model_validator(mode="after")
    def _choose(self) -> Self:
        both = sorted(set(self.label) & set(self.held_out))
        if both:
            raise ValueError(f"'{both[0]}' is in label and in held_out: a worker that makes the label cannot judge it")
        # Only what the run uses travels on, so that an unrelated entry never makes work stale.
        used = {name: find_spec(name, self.catalogue) for name in [*self.label, *self.held_out]}
        families = {used[name].family: name for name in self.label}
        for name in self.held_out:
            family = used[name].family
            if family in families:
                raise ValueError(f"'{name}' in held_out is of the family '{family}', as '{families[family]}' in label")
        object.__setattr__(self, "catalogue", used)
        return self

    def holding_out(self, family: str | None) -> Self:
        """Shares the same workers out anew: one family is held out, all others make the label.

        Args:
            family: Its name; None holds nothing out.

        Raises:
            ValueError: No worker is of that family, or all are.
        """
        held_out = [name for name in self.names if self.catalogue[name].family == family]
        if family is not None and not held_out:
            raise ValueError(f"workers: none is of the family '{family}', but of {', '.join(self.families)}")
        label = [name for name in self.names if name not in held_out]
        if not label:
            raise ValueError(f"workers: all are of the family '{family}', none is left to make the label")
        return self.model_validate({**self.model_dump(mode="json"), "label": label, "held_out": held_out})

    @property
    def families(self) -> list[str]:
        """The families of all workers, by name."""
        return sorted({self.catalogue[name].family for name in self.names})

    @property
    def names(self) -> list[str]:
        """All workers of the run, label workers first."""
        return [*self.label, *self.held_out]

    @property
    def groups(self) -> list[list[str]]:
        """The workers task by task; reduced precision holds for a whole process, so all of a task have it or none."""
        size = self.together or len(self.names)
        reduced = {name for name in self.names if getattr(self.catalogue[name], "reduced_precision", False)}
        alike = [[name for name in self.names if (name in reduced) is which] for which in (False, True)]
        return [names[start : start + size] for names in alike for start in range(0, len(names), size)]
