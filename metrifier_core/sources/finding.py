"""Which files a setting names: one, those of a folder, or those of a pattern, here or behind a URL."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import quote

from metrifier_core.sources.storage import (
    SourceError,
    StoredFile,
    can_list,
    local_path,
    open_filesystem,
    reached,
    read_at_most,
    stamp_of,
    unreadable,
)

_GONE = (404, 410)  # what an HTTP server answers where there is no such file
_MAX_TEXT = 256 << 20


def find_file(setting: str, location: str) -> StoredFile:
    """Finds one file.

    Args:
        setting: The setting that names it, for messages.
        location: A path or a URL.

    Raises:
        SourceError: It is not there, or cannot be asked for.
    """
    missing = SourceError(f"{setting}: there is no file {location}")
    path = local_path(setting, location)
    if path is not None:
        if not path.is_file():
            raise missing
        status = path.stat()
        return StoredFile(setting, location, str(path), status.st_size, f"{status.st_size} {status.st_mtime_ns}")
    filesystem, inside = open_filesystem(setting, location)
    try:
        with reached(setting, location):
            information = filesystem.info(inside)
    except FileNotFoundError as error:
        cause = error.__cause__
        # Over HTTP it stands for whatever went wrong.
        if not can_list(location) and isinstance(cause, Exception) and getattr(cause, "status", None) not in _GONE:
            raise unreadable(setting, location, cause) from error
        raise missing from error
    if information.get("type") == "directory":
        raise missing
    return StoredFile(setting, location, inside, information.get("size"), stamp_of(information), filesystem)


def named_file(setting: str, root: str, name: str) -> StoredFile:
    """Names a file below an HTTP URL, where none can be listed; whether it is there is found out when it is read."""
    filesystem, inside = open_filesystem(setting, root)
    return StoredFile(setting, f"{root}/{name}", f"{inside.rstrip('/')}/{quote(name)}", None, "", filesystem)


def find_files(setting: str, location: str) -> Iterator[tuple[str, StoredFile]]:
    """Lists the files below a remote folder, hidden ones left out, one folder of it in memory at a time.

    Args:
        setting: The setting that names it, for messages.
        location: Its URL.

    Yields:
        (the path below the folder, the file), in no order.

    Raises:
        SourceError: It is not there, or cannot be listed.
    """
    if not can_list(location):
        raise SourceError(
            f"{setting}: HTTP cannot list what is below {location}: "
            "name the files in a manifest (kind: manifest), or put them into one archive (kind: archive)"
        )
    filesystem, inside = open_filesystem(setting, location)
    root = inside.rstrip("/")
    found = False
    with reached(setting, location):
        try:
            for _, folders, files in filesystem.walk(root, detail=True, on_error="raise"):
                for hidden in [name for name in folders if name.startswith(".")]:
                    del folders[hidden]
                found = True
                for name, information in files.items():
                    path = str(information["name"])
                    below = path.removeprefix(root).lstrip("/")
                    if name and not name.startswith(".") and below:
                        size, stamp = information.get("size"), stamp_of(information)
                        yield below, StoredFile(setting, f"{location}/{below}", path, size, stamp, filesystem)
        except FileNotFoundError:
            found = False
    if not found:
        raise SourceError(f"{setting}: there is no folder {location}")


def find_matching(setting: str, location: str, suffix: str) -> list[tuple[str, StoredFile]]:
    """Finds one file, all files of a suffix below a folder, or all that match a pattern with `*`, `?` or `[...]`.

    Args:
        setting: The setting that names them, for messages.
        location: A path or a URL.
        suffix: How the names of files end that count in a folder.

    Returns:
        (the path below the folder or the pattern's fixed part, the file), in the order of the paths.

    Raises:
        SourceError: There are none, or they cannot be listed.
    """
    here = local_path(setting, location)
    location = location if here is None else str(here)
    pattern = None if here and here.exists() else re.search(r"[*?\[]", location)
    root = location[: pattern.start()].rpartition("/")[0] if pattern else location
    path = local_path(setting, root)
    if path is not None:
        if not pattern and path.is_file():
            return [(path.name, find_file(setting, str(path)))]
        matching = path.glob(location[len(root) + 1 :]) if pattern else path.rglob(f"*{suffix}")
        names = sorted(str(file.relative_to(path)) for file in matching if file.is_file())
        found = [(name, find_file(setting, str(path / name))) for name in names if not _is_hidden(name)]
    elif not can_list(root):
        if pattern:
            raise SourceError(f"{setting}: HTTP cannot list what matches {location}: name one file")
        found = [(PurePosixPath(location).name, find_file(setting, location))]
    else:
        found = _find_remote_matching(setting, location, root, suffix)
    if not found:
        raise SourceError(f"{setting}: there is no file {location if pattern else f'{location} or *{suffix} below it'}")
    return found


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _find_remote_matching(setting: str, location: str, root: str, suffix: str) -> list[tuple[str, StoredFile]]:
    filesystem, inside = open_filesystem(setting, location)
    with reached(setting, location):
        if location == root and filesystem.isfile(inside):
            return [(PurePosixPath(location).name, find_file(setting, location))]
        where = inside if location != root else f"{inside.rstrip('/')}/**/*{suffix}"
        matching = filesystem.glob(where, detail=True)
    fixed = open_filesystem(setting, root)[1].rstrip("/")
    found = [
        (path.removeprefix(fixed).lstrip("/"), information)
        for path, information in matching.items()
        if information.get("type") == "file"
    ]
    return [
        (name, StoredFile(setting, f"{root}/{name}", str(info["name"]), info.get("size"), stamp_of(info), filesystem))
        for name, info in sorted(found, key=lambda entry: entry[0])
        if not _is_hidden(name)
    ]


def read_text(setting: str, location: str) -> bytes:
    """Reads a whole small file, such as a list of names.

    Raises:
        SourceError: It is not there, cannot be read, or is too large to be a list.
    """
    file = find_file(setting, location)
    with reached(setting, location), file.open() as stream:
        data = read_at_most(stream, _MAX_TEXT + 1)
    if len(data) > _MAX_TEXT:
        raise SourceError(f"{setting}: {location} is larger than {_MAX_TEXT >> 20} MiB")
    return data
