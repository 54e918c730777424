"""A CSV file that names images and their labels."""

import csv
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from metrifier_core.settings import ConfigPath
from metrifier_core.sources.items import SourceItem, SourceSettings, file_item

__all__ = ["ManifestSource", "list_manifest"]

_COLUMNS = ("path", "label_index")


class ManifestSource(SourceSettings):
    """A CSV file with the columns `path` (below `root`) and `label_index` (from 0); others are ignored."""

    kind: Literal["manifest"]
    manifest: ConfigPath
    root: ConfigPath


def _read_lines(manifest: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Yields every line's number and what stands in its columns."""
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            for column in _COLUMNS:
                if column not in (reader.fieldnames or []):
                    raise ValueError(f"source.manifest: {manifest} has no column '{column}'")
            for row in reader:
                yield reader.line_num, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"source.manifest: {manifest} is not a CSV file in UTF-8: {error}") from error


def list_manifest(settings: ManifestSource) -> list[SourceItem]:
    """Lists the images of a manifest.

    Raises:
        ValueError: The manifest or the folder is missing, a column is, or a line is wrong; the message says which.
    """
    manifest, root = Path(settings.manifest), Path(settings.root)
    if not manifest.is_file():
        raise ValueError(f"source.manifest: there is no file {manifest}")
    if not root.is_dir():
        raise ValueError(f"source.root: there is no folder {root}")
    items: dict[str, SourceItem] = {}
    for line, row in _read_lines(manifest):
        where = f"source.manifest: {manifest}, line {line}"
        path, label = row["path"], row["label_index"]
        if not path or not label or not label.isascii() or not label.isdigit():
            raise ValueError(f"{where}: path '{path}', label_index '{label}'; expected a path and a number from 0")
        image_id = posixpath.normpath(path)
        if image_id.startswith(("/", "..")):
            raise ValueError(f"{where}: '{path}' is not below source.root")
        if image_id in items:
            raise ValueError(f"{where}: '{path}' stands there twice")
        items[image_id] = file_item(root / image_id, image_id, int(label))
    return list(items.values())
