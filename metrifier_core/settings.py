"""The base of every section of a config: immutable, and unknown keys are refused with what is close."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)

__all__ = ["ConfigPath", "Settings", "check_different", "closest", "config_path"]


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


def check_different(names: list[str]) -> None:
    """Refuses a list that has a name twice.

    Raises:
        ValueError: The message has the name.
    """
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"'{name}' is named twice")


def config_path(path: str, info: ValidationInfo) -> Path:
    """Finds a path of a config, which is relative to the file that holds it."""
    return (Path((info.context or {}).get("folder", ".")) / Path(path).expanduser()).resolve()


def _resolve(path: str, info: ValidationInfo) -> str:
    return path if "folder" not in (info.context or {}) else str(config_path(path, info))


ConfigPath = Annotated[str, AfterValidator(_resolve)]
"""A path in a config or catalogue: relative to the file that holds it, absolute once it is loaded."""


class Settings(BaseModel):
    """One section of a config."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="wrap")
    @classmethod
    def _hint_at_unknown_keys(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return validate(values)
        except ValidationError as error:
            mistakes: list[Any] = list(error.errors())
            for mistake in mistakes:
                if mistake["type"] == "extra_forbidden" and len(mistake["loc"]) == 1:
                    hint = closest(mistake["loc"][0], list(cls.model_fields))
                    mistake.update(type="value_error", ctx={"error": ValueError(f"unknown key, {hint}")})
            raise ValidationError.from_exception_data(cls.__name__, mistakes) from None
