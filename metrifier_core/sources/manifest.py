"""A CSV file that names images and their labels."""

import csv
import io
import posixpath
from collections.abc import Iterator
from typing import Literal

from metrifier_core.settings.base import ConfigLocation
from metrifier_core.sources.finding import find_files, named_file, read_text
from metrifier_core.sources.items import SourceItem, SourceSettings, faulty_item, file_item, stored_item
from metrifier_core.sources.storage import SourceError, can_list, local_path

_COLUMNS = ("path", "label_index")
_LABEL_DIGITS = 18  # as many as 64 bits surely hold


class ManifestSource(SourceSettings):
    """A CSV file with the columns `path` (below `root`) and `label_index` (from 0); others are ignored."""

    kind: Literal["manifest"]
    manifest: ConfigLocation
    root: ConfigLocation


def _read_lines(manifest: str) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Yields every line's number and what stands in its columns."""
    content = io.BytesIO(read_text("source.manifest", manifest))
    try:
        reader = csv.DictReader(io.TextIOWrapper(content, encoding="utf-8-sig", newline=""))
        for column in _COLUMNS:
            if column not in (reader.fieldnames or []):
                raise SourceError(f"source.manifest: {manifest} has no column '{column}'")
        for row in reader:
            yield reader.line_num, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"source.manifest: {manifest} is not a CSV file in UTF-8: {error}") from error


def read_manifest(manifest: str, where: str) -> dict[str, int]:
    """Reads a manifest.

    Args:
        manifest: Its path or URL.
        where: The setting that holds the images, for messages.

    Returns:
        The label of every path, in the manifest's order.

    Raises:
        SourceError: It is missing, a column is, or a line is wrong; the message says which.
    """
    labels: dict[str, int] = {}
    for number, row in _read_lines(manifest):
        line = f"source.manifest: {manifest}, line {number}"
        path, label = row["path"], row["label_index"]
        if not path or not label or not label.isascii() or not label.isdigit() or len(label) > _LABEL_DIGITS:
            raise SourceError(f"{line}: path '{path}', label_index '{label}'; expected a path and a number from 0")
        image_id = posixpath.normpath(path)
        if image_id.startswith(("/", "..")):
            raise SourceError(f"{line}: '{path}' is not below {where}")
        if image_id in labels:
            raise SourceError(f"{line}: '{path}' stands there twice")
        labels[image_id] = int(label)
    return labels


def _list_remote(root: str, labels: dict[str, int]) -> list[SourceItem]:
    if not can_list(root):
        return [stored_item(named_file("source.root", root, name), name, label) for name, label in labels.items()]
    found = {name: file for name, file in find_files("source.root", root) if name in labels}
    return [
        stored_item(found[name], name, label) if name in found else faulty_item(name, f"there is no file {root}/{name}")
        for name, label in labels.items()
    ]


def list_manifest(settings: ManifestSource) -> list[SourceItem]:
    """Lists the images of a manifest.

    Raises:
        SourceError: The manifest or the folder is missing, a column is, or a line is wrong; the message says which.
    """
    root = local_path("source.root", settings.root)
    labels = read_manifest(settings.manifest, "source.root")
    if root is None:
        return _list_remote(settings.root.rstrip("/"), labels)
    if not root.is_dir():
        raise SourceError(f"source.root: there is no folder {root}")
    return [file_item(root / image_id, image_id, label) for image_id, label in labels.items()]
