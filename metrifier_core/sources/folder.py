"""A folder with one folder of images a class, as ImageNet's training set has it."""

import os
from pathlib import Path
from typing import Literal

from metrifier_core.settings import ConfigLocation
from metrifier_core.sources.items import SourceItem, SourceSettings, file_item, stored_item
from metrifier_core.sources.storage import SourceError, find_files, local_path

__all__ = ["FolderSource", "list_files", "list_folder"]


class FolderSource(SourceSettings):
    """Images in `root/class/`; class indices follow the sorted names, which for ImageNet's wnids is its order."""

    kind: Literal["folder"]
    root: ConfigLocation


def list_files(root: Path) -> list[Path]:
    """Lists the files below a folder, sorted, hidden ones left out."""
    return sorted(
        path
        for path in root.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def _list_remote(root: str) -> list[SourceItem]:
    found = dict(find_files("source.root", root))
    classes = sorted({name.partition("/")[0] for name in found if "/" in name})
    if not classes:
        raise SourceError(f"source.root: {root} has no class folders (expected {root}/CLASS/IMAGE)")
    labels = {name: label for label, name in enumerate(classes)}
    return [stored_item(file, name, labels[name.partition("/")[0]]) for name, file in found.items() if "/" in name]


def list_folder(settings: FolderSource) -> list[SourceItem]:
    """Lists every file in the class folders; what is no image is found out when it is read.

    Raises:
        ValueError: The folder does not exist, cannot be listed, or has no class folders.
    """
    root = local_path(settings.root)
    if root is None:
        return _list_remote(settings.root.rstrip("/"))
    if not root.is_dir():
        raise ValueError(f"source.root: there is no folder {root}")
    classes = sorted(folder.name for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    if not classes:
        raise ValueError(f"source.root: {root} has no class folders (expected {root}/CLASS/IMAGE)")
    return [
        # A name may be any bytes; an identity is text.
        file_item(path, os.fsencode(path.relative_to(root)).decode(errors="backslashreplace"), label)
        for label, name in enumerate(classes)
        for path in list_files(root / name)
    ]
