"""Where labelled images come from."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from metrifier_core.settings.base import OMIT_TAG, is_uri
from metrifier_core.sources.archive import ArchiveSource, list_archive
from metrifier_core.sources.classes import describe_classes
from metrifier_core.sources.digits import DigitsSource, list_digits
from metrifier_core.sources.folder import FolderSource, list_files, list_folder
from metrifier_core.sources.imagenet import ImageNetSource, list_imagenet
from metrifier_core.sources.items import SourceItem, choose_items, listing_digest
from metrifier_core.sources.manifest import ManifestSource, list_manifest
from metrifier_core.sources.parquet import ParquetSource, list_parquet
from metrifier_core.sources.storage import local_path
from metrifier_core.sources.tfds import TfdsSource, list_tfds

__all__ = [
    "ArchiveSource",
    "DigitsSource",
    "FolderSource",
    "ImageNetSource",
    "ManifestSource",
    "ParquetSource",
    "Source",
    "SourceItem",
    "TfdsSource",
    "describe_labels",
    "is_remote",
    "list_files",
    "list_items",
    "listing_digest",
    "local_path",
]

Source = Annotated[
    ArchiveSource | DigitsSource | FolderSource | ImageNetSource | ManifestSource | ParquetSource | TfdsSource,
    Field(discriminator="kind"),
    OMIT_TAG,
]


def is_remote(source: Source) -> bool:
    """Tells whether reading a source's images means waiting for a network."""
    locations = (value for value in source.model_dump().values() if isinstance(value, str) and is_uri(value))
    return any(local_path("source", location) is None for location in locations)


def describe_labels(source: Source, items: Sequence[SourceItem]) -> str | None:
    """Says which classes a source's items have, where their labels were made of the names of folders."""
    match source:
        case FolderSource() | ArchiveSource(manifest=None):
            return describe_classes(items)
    return None


def list_items(source: Source) -> list[SourceItem]:
    """Lists a source's images, in an order of their identity and at most `max_sources` of them.

    Raises:
        ValueError: The source is not there or is malformed; the message names the setting.
    """
    match source:
        case ArchiveSource():
            items = list_archive(source)
        case DigitsSource():
            items = list_digits(source)
        case FolderSource():
            items = list_folder(source)
        case ImageNetSource():
            items = list_imagenet(source)
        case ManifestSource():
            items = list_manifest(source)
        case ParquetSource():
            items = list_parquet(source)
        case TfdsSource():
            items = list_tfds(source)
    return choose_items(items, source.max_sources)
