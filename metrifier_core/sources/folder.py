"""A folder with one folder of images a class, as ImageNet's training set has it."""

import os
from pathlib import Path
from typing import Literal

from metrifier_core.settings import ConfigPath
from metrifier_core.sources.items import SourceItem, SourceSettings, file_item

__all__ = ["FolderSource", "list_files", "list_folder"]


class FolderSource(SourceSettings):
    """Images in `root/class/`; class indices follow the sorted names, which for ImageNet's wnids is its order."""

    kind: Literal["folder"]
    root: ConfigPath


def list_files(root: Path) -> list[Path]:
    """Lists the files below a folder, sorted, hidden ones left out."""
    return sorted(
        path
        for path in root.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def list_folder(settings: FolderSource) -> list[SourceItem]:
    """Lists every file in the class folders; what is no image is found out when it is read.

    Raises:
        ValueError: The folder does not exist or has no class folders.
    """
    root = Path(settings.root)
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
