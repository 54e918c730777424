"""The base of every section of a config: immutable, and unknown keys are refused with what is close."""

import difflib
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, model_validator

__all__ = ["ConfigPath", "Settings", "closest"]


def closest(name: str, allowed: list[str]) -> str:
    """Says what is near an unknown name.

    Args:
        name: What was written.
        allowed: What could have been written.

    Returns:
        "did you mean 'x'?" where something is close, else the list of what is allowed.
    """
    near = difflib.get_close_matches(name, allowed, n=1)
    return f"did you mean '{near[0]}'?" if near else f"allowed: {', '.join(sorted(allowed))}"


def _resolve(path: str, info: ValidationInfo) -> str:
    folder = (info.context or {}).get("folder")
    return path if folder is None else str((Path(folder) / Path(path).expanduser()).resolve())


ConfigPath = Annotated[str, AfterValidator(_resolve)]
"""A path in a config or catalogue: relative to the file that holds it, absolute once it is loaded."""


class Settings(BaseModel):
    """One section of a config."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            unknown = [str(key) for key in values if key not in cls.model_fields]
            if unknown:
                hints = (f"unknown key '{key}', {closest(key, list(cls.model_fields))}" for key in unknown)
                raise ValueError("; ".join(hints))
        return values
