"""The files that a setting names, on this machine or behind a URL: one, those of a folder, or those of a pattern."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from metrifier_core.sources.storage import (
    SourceError,
    StoredFile,
    can_list,
    local_path,
    open_filesystem,
    reached,
    read_at_most,
)

_GONE = (404, 410)  # an HTTP server's answers for a file that does not exist
_MAX_TEXT = 256 << 20

# What storages call the mark that changes with a file's content, the most reliable first.
_MARKS = ("ETag", "etag", "md5Hash", "Content-MD5", "Digest", "mtime", "LastModified", "Last-Modified", "updated")


def _stored_file(filesystem: Any, info: Mapping[str, Any], location: str) -> StoredFile:
    mark = next((info[mark] for mark in _MARKS if info.get(mark)), "")
    stamp = f"{info.get('size')} {mark}".strip()
    return StoredFile(location, str(info["name"]), info.get("size"), stamp, filesystem)


def find_file(location: str) -> StoredFile:
    """Return the file at a path or URL; raise SourceError if it does not exist or its storage does not answer."""
    missing = SourceError(f"there is no file {location}")
    path = local_path(location)
    if path is not None:
        if not path.is_file():
            raise missing
        status = path.stat()
        return StoredFile(location, str(path), status.st_size, f"{status.st_size} {status.st_mtime_ns}")
    filesystem, inside = open_filesystem(location)
    with reached(location):
        try:
            info = filesystem.info(inside)
        except FileNotFoundError as error:
            cause = error.__cause__
            # Over HTTP, fsspec raises it whatever went wrong.
            if not can_list(location) and isinstance(cause, Exception) and getattr(cause, "status", None) not in _GONE:
                raise cause from None
            raise missing from error
    if info.get("type") == "directory":
        raise missing
    return _stored_file(filesystem, info, location)


def named_file(root: str, name: str) -> StoredFile:
    """Return a file below an HTTP URL without asking for it; reading finds out whether it exists."""
    filesystem, inside = open_filesystem(root)
    return StoredFile(f"{root}/{name}", f"{inside.rstrip('/')}/{quote(name)}", None, "", filesystem)


def find_files(location: str) -> Iterator[tuple[str, StoredFile]]:
    """List the files below a remote folder except hidden ones, with one folder of it in memory at a time.

    Yields:
        (path below the folder, file), in no particular order.

    Raises:
        SourceError: The folder does not exist, or cannot be listed.
    """
    if not can_list(location):
        raise SourceError(
            f"HTTP cannot list what is below {location}: "
            "name the files in a manifest (kind: manifest), or put them into one archive (kind: archive)"
        )
    filesystem, inside = open_filesystem(location)
    root = inside.rstrip("/")
    exists = False
    with reached(location):
        try:
            for _, folders, files in filesystem.walk(root, detail=True, on_error="raise"):
                exists = True
                for hidden in [name for name in folders if name.startswith(".")]:
                    del folders[hidden]
                for name, info in files.items():
                    below = str(info["name"]).removeprefix(root).lstrip("/")
                    if name and not name.startswith(".") and below:
                        yield below, _stored_file(filesystem, info, f"{location}/{below}")
        except FileNotFoundError:
            exists = False
    if not exists:
        raise SourceError(f"there is no folder {location}")


def find_matching(location: str, suffix: str) -> list[tuple[str, StoredFile]]:
    """List one file, a folder's files that end with `suffix`, or the matches of a pattern with `*`, `?` or `[...]`.

    Returns:
        (path below the folder or the pattern's fixed part, file), sorted by that path and without hidden ones.

    Raises:
        SourceError: There are none, or they cannot be listed.
    """
    here = local_path(location)
    location = location if here is None else str(here)
    pattern = None if here and here.exists() else re.search(r"[*?\[]", location)
    if here.is_file() if here is not None else not pattern and _is_remote_file(location):
        return [(PurePosixPath(location).name, find_file(location))]
    root = location[: pattern.start()].rpartition("/")[0] if pattern else location
    if here is not None:
        paths = Path(root).glob(location.removeprefix(root).lstrip("/")) if pattern else here.rglob(f"*{suffix}")
        names = [str(path.relative_to(root)) for path in paths if path.is_file()]
        found = {name: find_file(str(Path(root, name))) for name in names if not _is_hidden(name)}
    elif can_list(location):
        found = _match_remote(root, location if pattern else f"{location.rstrip('/')}/**/*{suffix}")
    else:
        raise SourceError(f"HTTP cannot list what matches {location}: name one file")
    if not found:
        raise SourceError(f"there is no file {location if pattern else f'{location} or *{suffix} below it'}")
    return sorted(found.items())


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _is_remote_file(location: str) -> bool:
    filesystem, inside = open_filesystem(location)
    with reached(location):
        return not can_list(location) or filesystem.isfile(inside)


def _match_remote(root: str, pattern: str) -> dict[str, StoredFile]:
    filesystem, inside = open_filesystem(pattern)
    fixed = open_filesystem(root)[1].rstrip("/")
    with reached(pattern):
        matching = filesystem.glob(inside, detail=True)
    names = {path.removeprefix(fixed).lstrip("/"): info for path, info in matching.items() if info["type"] == "file"}
    return {
        name: _stored_file(filesystem, info, f"{root}/{name}") for name, info in names.items() if not _is_hidden(name)
    }


def read_text(location: str) -> bytes:
    """Return the content of a list of names; raise SourceError if it cannot be read or is too large for a list."""
    with find_file(location).open() as stream, reached(location):
        data = read_at_most(stream, _MAX_TEXT + 1)
    if len(data) > _MAX_TEXT:
        raise SourceError(f"{location} is larger than {_MAX_TEXT >> 20} MiB")
    return data
