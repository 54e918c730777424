"""A CSV file that names images and their labels."""

import csv
import io
import posixpath
from typing import ClassVar, Literal

from metrifier_core.settings.base import ConfigLocation
from metrifier_core.sources.finding import find_files, named_file, read_text
from metrifier_core.sources.items import SourceItem, SourceSettings, faulty_item, file_item, stored_item
from metrifier_core.sources.storage import SourceError, can_list, local_path, naming

_MAX_DIGITS = 18  # of a label: always fits into 64 bits


class ManifestSource(SourceSettings):
    """A CSV file with the columns `path` (below `root`) and `label_index` (from 0); others are ignored."""

    location_setting: ClassVar[str] = "root"
    kind: Literal["manifest"]
    manifest: ConfigLocation
    root: ConfigLocation

    def list_images(self) -> list[SourceItem]:
        """List the images that the manifest names."""
        path = local_path(self.root)
        labels = read_manifest(self.manifest)
        if path is None:
            return _list_remote(self.root.rstrip("/"), labels)
        if not path.is_dir():
            raise SourceError(f"there is no folder {path}")
        return [file_item(path / image_id, image_id, label) for image_id, label in labels.items()]


def _list_remote(root: str, labels: dict[str, int]) -> list[SourceItem]:
    if not can_list(root):
        return [stored_item(named_file(root, name), name, label) for name, label in labels.items()]
    files = {name: file for name, file in find_files(root) if name in labels}
    return [
        stored_item(files[name], name, label) if name in files else faulty_item(name, f"there is no file {root}/{name}")
        for name, label in labels.items()
    ]


def read_manifest(manifest: str) -> dict[str, int]:
    """Read the manifest at a path or URL; return the label of each path, in the manifest's order.

    Raises:
        SourceError: The manifest or a column is missing, or a line is wrong; the message says which.
    """
    labels: dict[str, int] = {}
    with naming("manifest"):
        content = io.BytesIO(read_text(manifest))
        try:
            reader = csv.DictReader(io.TextIOWrapper(content, encoding="utf-8-sig", newline=""))
            for column in ("path", "label_index"):
                if column not in (reader.fieldnames or []):
                    raise SourceError(f"{manifest} has no column '{column}'")
            for row in reader:
                image_id, label = _parse(row, f"{manifest}, line {reader.line_num}")
                if image_id in labels:
                    raise SourceError(f"{manifest}, line {reader.line_num}: '{row['path']}' is named twice")
                labels[image_id] = label
        except (UnicodeDecodeError, csv.Error) as error:
            raise SourceError(f"{manifest} is not a CSV file in UTF-8: {error}") from error
    return labels


def _parse(row: dict[str, str | None], line: str) -> tuple[str, int]:
    path, label = row["path"], row["label_index"]
    if not path or not label or not label.isascii() or not label.isdigit() or len(label) > _MAX_DIGITS:
        raise SourceError(f"{line}: path '{path}', label_index '{label}'; expected a path and a number from 0")
    image_id = posixpath.normpath(path)
    if image_id.startswith(("/", "..")):
        raise SourceError(f"{line}: '{path}' is not below the root")
    return image_id, int(label)
