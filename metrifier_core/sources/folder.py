"""A folder with one folder of images a class, as ImageNet's training set has it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NoReturn

from metrifier_core.settings.base import ConfigLocation
from metrifier_core.sources.classes import is_class, label_files
from metrifier_core.sources.finding import find_files
from metrifier_core.sources.items import SourceItem, SourceSettings, file_item, stored_item, text
from metrifier_core.sources.storage import SourceError, local_path

_SETTING = "source.root"


class FolderSource(SourceSettings):
    """Images in `root/class/`; class indices follow the sorted names, which for ImageNet's wnids is its order."""

    kind: Literal["folder"]
    root: ConfigLocation


def list_files(root: Path, on_error: Callable[[OSError], object] | None = None) -> list[Path]:
    """Lists the files below a folder, sorted, hidden ones left out; a folder that is linked twice counts once.

    Args:
        root: The folder.
        on_error: Told of every folder that cannot be listed; without it these are passed over.
    """
    found = []
    visited = set()
    for folder, folders, files in os.walk(root, onerror=on_error, followlinks=True):
        here = _identity(folder)
        if here in visited:
            folders.clear()
            continue
        visited.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [path for name in files if not name.startswith(".") and _may_be_file(path := Path(folder, name))]
    return sorted(found)


def _identity(folder: str) -> tuple[int, int]:
    status = Path(folder).stat()
    return status.st_dev, status.st_ino


def _may_be_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that may not be entered; reading the file says so
        return True


def _refuse(error: OSError) -> NoReturn:
    """A class that is passed over would give the others labels that are not theirs."""
    raise SourceError(f"{_SETTING}: {error.filename} cannot be listed: {error.strerror}") from error


def _find_here(root: Path) -> dict[str, Path]:
    """Finds the files of the class folders by their path below the root."""
    try:
        folders = [folder for folder in root.iterdir() if is_class(folder.name) and folder.is_dir()]
    except OSError as error:
        _refuse(error)
    return {text(str(path.relative_to(root))): path for folder in folders for path in list_files(folder, _refuse)}


def _list_here(root: Path) -> list[SourceItem]:
    if not root.is_dir():
        raise SourceError(f"{_SETTING}: there is no folder {root}")
    found = _find_here(root)
    return [file_item(found[name], name, label) for name, label in label_files(found).items()]


def _list_remote(root: str) -> list[SourceItem]:
    found = dict(find_files(_SETTING, root))
    return [stored_item(found[name], name, label) for name, label in label_files(found).items()]


def list_folder(settings: FolderSource) -> list[SourceItem]:
    """Lists every file in the class folders; what is no image is found out when it is read.

    Raises:
        SourceError: The folder does not exist, cannot be listed, or has no class folders.
    """
    path = local_path(_SETTING, settings.root)
    root = settings.root.rstrip("/") if path is None else str(path)
    items = _list_remote(root) if path is None else _list_here(path)
    if not items:
        raise SourceError(f"{_SETTING}: {root} has no class folders (expected {root}/CLASS/IMAGE)")
    return items
