"""Sources of labelled images."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, get_args

from pydantic import Field

from metrifier_core.settings.base import OMIT_TAG, closest, is_uri
from metrifier_core.sources.archive import ArchiveSource
from metrifier_core.sources.digits import DigitsSource
from metrifier_core.sources.folder import FolderSource, describe_classes, list_files
from metrifier_core.sources.imagenet import ImageNetSource
from metrifier_core.sources.items import SourceItem, SourceSettings, choose_items, listing_digest
from metrifier_core.sources.manifest import ManifestSource
from metrifier_core.sources.parquet import ParquetSource
from metrifier_core.sources.storage import SourceError, local_path, naming
from metrifier_core.sources.tfds import TfdsSource

__all__ = [
    "ArchiveSource",
    "DigitsSource",
    "FolderSource",
    "ImageNetSource",
    "ManifestSource",
    "ParquetSource",
    "Source",
    "SourceError",
    "SourceItem",
    "SourceSettings",
    "TfdsSource",
    "create_source",
    "describe_labels",
    "get_source",
    "is_remote",
    "list_files",
    "list_items",
    "list_sources",
    "listing_digest",
    "local_path",
]

Source = Annotated[
    ArchiveSource | DigitsSource | FolderSource | ImageNetSource | ManifestSource | ParquetSource | TfdsSource,
    Field(discriminator="kind"),
    OMIT_TAG,
]

_KINDS: dict[str, type[SourceSettings]] = {
    get_args(settings.model_fields["kind"].annotation)[0]: settings for settings in get_args(get_args(Source)[0])
}


def list_sources() -> list[str]:
    """Return the kinds of sources, sorted."""
    return sorted(_KINDS)


def get_source(kind: str) -> type[SourceSettings]:
    """Return the settings class of a kind of source.

    Raises:
        ValueError: The kind is unknown; the message says what is close.
    """
    if kind not in _KINDS:
        raise ValueError(f"unknown source '{kind}', {closest(kind, list_sources())}")
    return _KINDS[kind]


def create_source(kind: str, **settings: Any) -> SourceSettings:
    """Create a source, such as `create_source("folder", root="photos")`.

    Args:
        kind: One of `list_sources()`.
        **settings: The fields of its settings class.

    Raises:
        ValueError: The kind or a setting is unknown, or a value is wrong.
    """
    return get_source(kind).model_validate({"kind": kind, **settings})


def is_remote(source: SourceSettings) -> bool:
    """Tell whether reading a source's images means waiting for a network."""
    locations = (value for value in source.model_dump().values() if isinstance(value, str) and is_uri(value))
    return any(local_path(location) is None for location in locations)


def describe_labels(source: SourceSettings, items: Sequence[SourceItem]) -> str | None:
    """Describe the classes of a source's items, where the names of folders make the labels; None elsewhere."""
    match source:
        case FolderSource() | ArchiveSource(manifest=None):
            return describe_classes(items)
    return None


def list_items(source: SourceSettings) -> list[SourceItem]:
    """List a source's images, at most `max_sources` of them, in an order that depends on their identities alone.

    Raises:
        SourceError: The source is missing, malformed or unreachable; the message names the setting.
    """
    with naming(source.location_setting):
        items = choose_items(source.list_images(), source.max_sources)
    return [replace(item, setting=source.location_setting) for item in items]
