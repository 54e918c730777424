"""Files here or behind a URL: found, listed, and read in any order by several threads at once."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast
from urllib.parse import quote, unquote

from metrifier_core.images import MAX_BYTES, ImageError
from metrifier_core.settings import is_uri

__all__ = [
    "SourceError",
    "StoredFile",
    "can_list",
    "find_file",
    "find_files",
    "find_matching",
    "local_path",
    "named_file",
    "reached",
    "read_text",
    "too_large",
]

_EXTRAS = {"http": "http", "https": "http", "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
_UNLISTED = ("http", "https")
_FILE = "file://"
_GONE = (404, 410)  # what an HTTP server answers where there is no such file
_BLOCK = 8 << 20  # bytes that are asked for at a time where a remote file is read from front to back
_LARGEST_TEXT = 256 << 20

# What storages call that which changes with a file's content, the surest first.
_MARKS = ("ETag", "etag", "md5Hash", "Content-MD5", "Digest", "mtime", "LastModified", "Last-Modified", "updated")


class SourceError(ValueError):
    """A source that is not there, is malformed, or stopped answering; the message names the setting."""


def local_path(setting: str, location: str) -> Path | None:
    """Gives the path of what is on this machine, a path or a `file://` URL; None for what is elsewhere.

    Raises:
        SourceError: The `file://` URL names another machine.
    """
    if not location.startswith(_FILE):
        return None if is_uri(location) else Path(location)
    # A path has neither query nor fragment: `?` and `#` are characters of its names.
    host, slash, path = location.removeprefix(_FILE).partition("/")
    if host not in ("", "localhost"):
        raise SourceError(f"{setting}: {location} is on a machine '{host}'; a file here is file:///{host}/...")
    return Path(slash + unquote(path, errors="surrogateescape"))


@cache
def _filesystem(url: str) -> tuple[Any, str]:
    import fsspec

    options: dict[str, Any] = {}
    if url.startswith(_UNLISTED):
        import aiohttp

        # Its own limit is on a whole file, which a large archive exceeds.
        options["client_kwargs"] = {"timeout": aiohttp.ClientTimeout(total=None, sock_connect=60, sock_read=60)}
    elif not url.startswith("memory:"):
        options["use_listings_cache"] = False  # it would grow with the files
    return cast("tuple[Any, str]", fsspec.core.url_to_fs(url, **options))


def _open_filesystem(setting: str, url: str) -> tuple[Any, str]:
    """Finds what reads a URL, and the path that it knows the file by."""
    protocol = url.partition("://")[0].rpartition("::")[2]
    try:
        filesystem, path = _filesystem(url)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        remedy = f"install metrifier[{extra}]" if extra else str(error)
        raise SourceError(f"{setting}: {url} needs a package that is not installed: {remedy}") from error
    except ValueError as error:
        raise SourceError(f"{setting}: {url} cannot be read: {error}") from error
    return filesystem, path


@contextmanager
def reached(setting: str, location: str) -> Iterator[None]:
    """Names the setting where a storage does not answer; a file that is not there is left to the caller."""
    try:
        yield
    except (SourceError, FileNotFoundError):
        raise
    except Exception as error:  # each protocol has its own
        raise _unreadable(setting, location, error) from error


def _unreadable(setting: str, location: str, error: Exception) -> SourceError:
    return SourceError(f"{setting}: {location} cannot be read: {str(error) or type(error).__name__}")


def _stamp(information: Mapping[str, Any]) -> str:
    mark = next((information[mark] for mark in _MARKS if information.get(mark)), "")
    return f"{information.get('size')} {mark}".strip()


def too_large(size: int) -> str | None:
    """Says that so many bytes are no image, where they are too many."""
    return f"larger than {MAX_BYTES >> 20} MiB" if size > MAX_BYTES else None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is read in any order by several threads at once.

    Attributes:
        setting: The setting that named it, for messages.
        location: Its path or URL, for messages.
        path: What its storage knows it by.
        size: In bytes; None where the storage does not say.
        stamp: What changes when its bytes do.
        filesystem: Its storage, of fsspec; None for a file on this machine.
    """

    setting: str
    location: str
    path: str
    size: int | None
    stamp: str
    filesystem: Any = None

    def open(self) -> BinaryIO:
        """Opens it to be read from front to back, a bounded piece at a time.

        Raises:
            SourceError: It cannot be opened.
        """
        if self.filesystem is None:
            return Path(self.path).open("rb")
        with reached(self.setting, self.location):
            options = {"cache_type": "readahead"} if self.size is not None else {}
            return cast("BinaryIO", self.filesystem.open(self.path, "rb", block_size=_BLOCK, **options))

    @contextmanager
    def being_read(self) -> Iterator[None]:
        """Makes a SourceError of whatever fails while a stream of it is read, also that it is gone."""
        try:
            yield
        except Exception as error:  # each protocol has its own
            raise _unreadable(self.setting, self.location, error) from error

    def need_parts(self, reader: str) -> None:
        """Refuses a file of which parts cannot be read alone.

        Raises:
            SourceError: The message says what to do.
        """
        if not self.in_parts():
            raise SourceError(
                f"{self.setting}: the server of {self.location} sends no parts of files, which {reader} needs: "
                "download it first and name the copy"
            )

    def in_parts(self) -> bool:
        """Tells whether parts of it can be read alone; some HTTP servers send whole files only."""
        if self.filesystem is None:
            return True
        if self.size is None:
            return False
        if not self.path.startswith(_UNLISTED):
            return True
        with reached(self.setting, self.location), self.filesystem.open(self.path, "rb", cache_type="none") as file:
            try:
                file.seek(self.size - 1)
                return len(file.read(1)) == 1
            except (ValueError, OSError):  # fsspec's word for "the server ignored the range"
                return False

    def read_head(self, length: int) -> bytes:
        """Reads its first bytes.

        Raises:
            SourceError: It cannot be read.
        """
        if self.in_parts():
            return self.read_part(0, min(length, self.size or 0))
        with self.open() as stream, reached(self.setting, self.location):
            return _read_at_most(stream, length)

    def read_part(self, start: int, length: int) -> bytes:
        """Reads a part; fewer bytes come back where the file ends.

        Raises:
            SourceError: The file cannot be read any more.
        """
        if not length:
            return b""
        try:
            if self.filesystem is None:
                with Path(self.path).open("rb", buffering=0) as file:
                    return os.pread(file.fileno(), length, start)
            with reached(self.setting, self.location):
                return cast("bytes", self.filesystem.cat_file(self.path, start=start, end=start + length))
        except OSError as error:
            raise SourceError(f"{self.setting}: {self.location} cannot be read: {error}") from error

    def read_image(self) -> bytes:
        """Reads the whole of a remote image file.

        Raises:
            ImageError: It is not there any more, or is too large to be an image.
            SourceError: The storage does not answer.
        """
        try:
            if self.size is not None:
                data = b"" if self.size == 0 else self._reach_part(min(self.size, MAX_BYTES + 1))
            else:
                # A size, whatever it is, saves asking for it; with no blocks it is not looked at.
                stream = partial(self.filesystem.open, self.path, block_size=0, size=1)
                with reached(self.setting, self.location), stream() as file:
                    data = _read_at_most(file, MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise ImageError("cannot be read: No such file or directory") from error
        if reason := too_large(len(data)):
            raise ImageError(reason)
        return data

    def _reach_part(self, length: int) -> bytes:
        with reached(self.setting, self.location):
            return cast("bytes", self.filesystem.cat_file(self.path, start=0, end=length))


def _read_at_most(file: Any, limit: int) -> bytes:
    """Reads a stream, which gives as much as has arrived, up to its end or a limit."""
    pieces, left = [], limit
    while left > 0 and (piece := file.read(min(left, 1 << 20))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


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
    filesystem, inside = _open_filesystem(setting, location)
    try:
        with reached(setting, location):
            information = filesystem.info(inside)
    except FileNotFoundError as error:
        cause = error.__cause__
        # Over HTTP it stands for whatever went wrong.
        if not can_list(location) and isinstance(cause, Exception) and getattr(cause, "status", None) not in _GONE:
            raise _unreadable(setting, location, cause) from error
        raise missing from error
    if information.get("type") == "directory":
        raise missing
    return StoredFile(setting, location, inside, information.get("size"), _stamp(information), filesystem)


def named_file(setting: str, root: str, name: str) -> StoredFile:
    """Names a file below an HTTP URL, where none can be listed; whether it is there is found out when it is read."""
    filesystem, inside = _open_filesystem(setting, root)
    return StoredFile(setting, f"{root}/{name}", f"{inside.rstrip('/')}/{quote(name)}", None, "", filesystem)


def can_list(location: str) -> bool:
    """Tells whether what is below a URL can be listed, which HTTP has no way to ask for."""
    return not location.startswith(_UNLISTED)


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
    filesystem, inside = _open_filesystem(setting, location)
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
                        size, stamp = information.get("size"), _stamp(information)
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
    filesystem, inside = _open_filesystem(setting, location)
    with reached(setting, location):
        if location == root and filesystem.isfile(inside):
            return [(PurePosixPath(location).name, find_file(setting, location))]
        where = inside if location != root else f"{inside.rstrip('/')}/**/*{suffix}"
        matching = filesystem.glob(where, detail=True)
    fixed = _open_filesystem(setting, root)[1].rstrip("/")
    found = [
        (path.removeprefix(fixed).lstrip("/"), information)
        for path, information in matching.items()
        if information.get("type") == "file"
    ]
    return [
        (name, StoredFile(setting, f"{root}/{name}", str(info["name"]), info.get("size"), _stamp(info), filesystem))
        for name, info in sorted(found, key=lambda entry: entry[0])
        if not _is_hidden(name)
    ]


def read_text(setting: str, location: str) -> bytes:
    """Reads a whole small file, such as a list of names.

    Raises:
        SourceError: It is not there, cannot be read, or is too large to be a list.
    """
    file = find_file(setting, location)
    with file.open() as stream, reached(setting, location):
        data = _read_at_most(stream, _LARGEST_TEXT + 1)
    if len(data) > _LARGEST_TEXT:
        raise SourceError(f"{setting}: {location} is larger than {_LARGEST_TEXT >> 20} MiB")
    return data
