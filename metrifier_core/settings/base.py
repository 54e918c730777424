"""The base of every section of a config: immutable, and unknown keys are refused with what is close."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails


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
    return _find(path, Path((info.context or {}).get("folder", ".")))


def _find(path: str, folder: Path) -> Path:
    try:
        return (folder / Path(path).expanduser()).resolve()
    except RuntimeError as error:  # ~ of a user that does not exist, or links that go round
        raise ValueError(f"{path}: {error}") from error


def _resolve(path: str, info: ValidationInfo) -> str:
    return path if "folder" not in (info.context or {}) else str(config_path(path, info))


ConfigPath = Annotated[str, AfterValidator(_resolve)]
"""A path in a config or catalogue: relative to the file that holds it, absolute once it is loaded."""


def is_uri(location: str) -> bool:
    """Tells a URI, such as s3://bucket/file, from a path."""
    return "://" in location


def resolve_location(location: str, folder: Path) -> str:
    """Makes a path, which is relative to a folder, absolute; a URI stays as it is."""
    return location if is_uri(location) else str(_find(location, folder))


# What signs a URL, in its query.
_SIGNATURES = {"x-amz-signature", "x-amz-security-token", "x-goog-signature", "signature", "sig", "token"}


def _holds_secret(uri: str) -> bool:
    for part in map(urlsplit, uri.split("::")):
        if "@" in part.netloc or any(name.lower() in _SIGNATURES for name, _ in parse_qsl(part.query)):
            return True
    return False


def _resolve_path(location: str, info: ValidationInfo) -> str:
    if not is_uri(location):
        return _resolve(location, info)
    if _holds_secret(location):
        raise ValueError("credentials belong in the environment, not in the URL, which is logged; see docs/sources.md")
    return location


ConfigLocation = Annotated[str, AfterValidator(_resolve_path)]
"""A `ConfigPath`, or a URI without credentials."""


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


def _describe(mistake: ErrorDetails) -> str:
    """Writes a mistake as a line: the key as an override would name it, then what is wrong."""
    place, given, context = list(mistake["loc"]), mistake["input"], mistake.get("ctx", {})
    # Into what lies below a union, pydantic puts the kind of the source or the format of the worker.
    if place[:1] == ["source"]:
        del place[1:2]
    elif place[:2] == ["workers", "catalogue"]:
        del place[3:4]
    elif place[:2] == ["metrifier", "backbone"]:
        del place[2:3]
    match mistake["type"]:
        case "value_error":
            message = str(context["error"])
        case "missing":
            message = "is missing"
        case "union_tag_not_found":
            place.append(context["discriminator"].strip("'"))
            message = "is missing"
        case "union_tag_invalid":
            place.append(context["discriminator"].strip("'"))
            allowed = [tag.strip("'") for tag in context["expected_tags"].split(", ")]
            message = f"unknown {place[-1]} '{context['tag']}', {closest(context['tag'], allowed)}"
        case "dict_type" | "model_type" | "model_attributes_type":
            message = "should be a section with keys of its own"
        case _:
            message = mistake["msg"]
            if isinstance(given, str | int | float | None):
                message += f" (got {'nothing' if given is None else repr(given)})"
    return ": ".join(filter(None, [".".join(map(str, place)), message]))


def describe_mistakes(error: ValidationError) -> str:
    """Writes what is wrong with a config, a line a mistake, each naming its key."""
    return "\n".join(map(_describe, error.errors()))
