"""Class folders: one folder of images per class, such as ImageNet's training set, and the labels that they give."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NoReturn

from metrifier_core.settings.base import ConfigLocation
from metrifier_core.sources.finding import find_files
from metrifier_core.sources.items import SourceItem, SourceSettings, escape_name, file_item, stored_item
from metrifier_core.sources.storage import SourceError, local_path

# What archivers and file systems leave beside the folders of images.
_LEFTOVERS = ("__MACOSX", "lost+found")


class FolderSource(SourceSettings):
    """Images in `root/CLASS/`; labels follow the sorted names, which for ImageNet's wnids is its own order."""

    location_setting: ClassVar[str] = "root"
    kind: Literal["folder"]
    root: ConfigLocation

    def list_images(self) -> list[SourceItem]:
        """List every file in the class folders; reading finds out which ones are images."""
        path = local_path(self.root)
        root = self.root.rstrip("/") if path is None else str(path)
        files: dict[str, Any] = dict(find_files(root)) if path is None else _find_files(path)
        labels = label_files(files)
        if not labels:
            raise SourceError(f"{root} has no class folders (expected {root}/CLASS/IMAGE)")
        make_item: Callable[..., SourceItem] = stored_item if path is None else file_item
        return [make_item(files[name], name, label) for name, label in labels.items()]


def list_files(root: Path, on_error: Callable[[OSError], object] | None = None) -> list[Path]:
    """List the files below a folder, sorted, without hidden ones; a folder that is linked twice counts once.

    Args:
        root: The folder.
        on_error: Called for every folder that cannot be listed; by default these are skipped.
    """
    files = []
    visited = set()
    for folder, folders, names in os.walk(root, onerror=on_error, followlinks=True):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [path for name in names if not name.startswith(".") and _may_be_file(path := Path(folder, name))]
    return sorted(files)


def _may_be_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder that may not be entered; reading the file says so
        return True


def _refuse(error: OSError) -> NoReturn:
    # A missing class would shift the labels of the others.
    raise SourceError(f"{error.filename} cannot be listed: {error.strerror}") from error


def _find_files(root: Path) -> dict[str, Path]:
    """Return the files of the class folders by their path below the root."""
    if not root.is_dir():
        raise SourceError(f"there is no folder {root}")
    try:
        folders = [folder for folder in root.iterdir() if _is_class(folder.name) and folder.is_dir()]
    except OSError as error:
        _refuse(error)
    return {
        escape_name(str(path.relative_to(root))): path for folder in folders for path in list_files(folder, _refuse)
    }


def _is_class(name: str) -> bool:
    """Tell whether a folder of this name can be a class: not a hidden one, nor one that a tool left there."""
    return not name.startswith(".") and name not in _LEFTOVERS


def label_files(names: Iterable[str]) -> dict[str, int]:
    """Label files, given as paths `CLASS/…/FILE`, by their class folders; files outside of them are left out.

    Returns:
        The label of each path: its folder's position, from 0, among the sorted class folders that hold files.
    """
    folders = {name: name.partition("/")[0] for name in names if "/" in name}
    folders = {name: folder for name, folder in folders.items() if _is_class(folder)}
    labels = {folder: label for label, folder in enumerate(sorted(set(folders.values())))}
    return {name: labels[folder] for name, folder in folders.items()}


def describe_classes(items: Sequence[SourceItem]) -> str:
    """Describe the class folders of some images: how many, the first and the last, with their labels."""
    classes = sorted({(item.label, item.image_id.partition("/")[0]) for item in items if item.fault is None})
    named = [f"{name} (label {label})" for label, name in classes]
    if len(named) > 1:
        return f"{len(named)} class folders: {named[0]} to {named[-1]}"
    return f"1 class folder: {named[0]}" if named else "no classes"
