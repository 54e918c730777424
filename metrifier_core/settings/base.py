"""The base class of every section of a config, its types of paths, and its error messages."""

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
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import ErrorDetails

_SIGNATURES = {"x-amz-signature", "x-amz-security-token", "x-goog-signature", "signature", "sig", "token"}


def closest(name: str, allowed: list[str]) -> str:
    """Return a hint for an unknown name: "did you mean 'x'?", or the allowed names if none is similar."""
    similar = difflib.get_close_matches(name, allowed, n=1)
    return f"did you mean '{similar[0]}'?" if similar else f"allowed: {', '.join(sorted(allowed))}"


def check_different(names: list[str]) -> None:
    """Raise a ValueError with the first name that occurs twice."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"'{name}' is named twice")


def config_path(path: str, info: ValidationInfo) -> Path:
    """Return a path of a config as an absolute one; it is relative to the file that holds it."""
    return _resolve(path, Path((info.context or {}).get("folder", ".")))


def is_uri(location: str) -> bool:
    """Return whether a location is a URI, such as s3://bucket/file, not a path."""
    return "://" in location


def resolve_location(location: str, folder: Path) -> str:
    """Return a path, relative to a folder, as an absolute one; a URI is returned unchanged."""
    return location if is_uri(location) else str(_resolve(location, folder))


def _resolve(path: str, folder: Path) -> Path:
    try:
        return (folder / Path(path).expanduser()).resolve()
    except RuntimeError as error:  # ~ of an unknown user, or links in a circle
        raise ValueError(f"{path}: {error}") from error


def _resolve_path(path: str, info: ValidationInfo) -> str:
    return path if "folder" not in (info.context or {}) else str(config_path(path, info))


def _resolve_location(location: str, info: ValidationInfo) -> str:
    if not is_uri(location):
        return _resolve_path(location, info)
    for part in map(urlsplit, location.split("::")):
        if "@" in part.netloc or any(name.lower() in _SIGNATURES for name, _ in parse_qsl(part.query)):
            raise ValueError("credentials belong in the environment, not in the URL, which is logged: docs/sources.md")
    return location


def _omit_tag(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError as error:
        mistakes: list[Any] = [mistake | {"loc": mistake["loc"][1:]} for mistake in error.errors()]
        raise ValidationError.from_exception_data(error.title, mistakes) from None


ConfigPath = Annotated[str, AfterValidator(_resolve_path)]
"""A path in a config or catalogue: relative to the file that holds it, absolute once it is loaded."""

ConfigLocation = Annotated[str, AfterValidator(_resolve_location)]
"""A `ConfigPath`, or a URI without credentials."""

OMIT_TAG = WrapValidator(_omit_tag)
"""Annotation of a union with a discriminator: errors name a key without the tag that pydantic puts before it."""


class Settings(BaseModel):
    """A section of a config: immutable, without unknown keys."""

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


def describe_mistakes(error: ValidationError) -> str:
    """Return a line for each mistake in a config: its key, as an override would name it, and what is wrong."""
    return "\n".join(map(_describe, error.errors()))


def _describe(mistake: ErrorDetails) -> str:
    keys, value, context = list(mistake["loc"]), mistake["input"], mistake.get("ctx", {})
    if mistake["type"] in {"union_tag_not_found", "union_tag_invalid"}:
        keys.append(context["discriminator"].strip("'"))
    match mistake["type"]:
        case "value_error":
            message = str(context["error"])
        case "missing" | "union_tag_not_found":
            message = "is missing"
        case "union_tag_invalid":
            allowed = [tag.strip("'") for tag in context["expected_tags"].split(", ")]
            message = f"unknown {keys[-1]} '{context['tag']}', {closest(context['tag'], allowed)}"
        case "dict_type" | "model_type" | "model_attributes_type":
            message = "should be a section with keys of its own"
        case _:
            message = mistake["msg"]
            if isinstance(value, str | int | float | None):
                message += f" (got {'nothing' if value is None else repr(value)})"
    return ": ".join(filter(None, [".".join(map(str, keys)), message]))
