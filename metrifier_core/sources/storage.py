"""Files on this machine or behind a URL, read in any order by several threads at once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

from metrifier_core.images import MAX_BYTES, ImageError
from metrifier_core.settings.base import is_uri

_EXTRAS = {"http": "http", "https": "http", "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}  # by protocol
_HTTP = ("http", "https")
_FILE = "file://"
_BLOCK = 8 << 20  # bytes per request where a remote file is read from front to back


class SourceError(ValueError):
    """A source that is missing, malformed or unreachable.

    Attributes:
        setting: The field of the source's settings that it concerns, such as `root`; empty where not known yet.
    """

    def __init__(self, reason: str, setting: str = "") -> None:
        super().__init__(reason)
        self.setting = setting

    @property
    def reason(self) -> str:
        """Return the message without the setting."""
        return str(self.args[0])

    def __str__(self) -> str:
        return f"source.{self.setting}: {self.reason}" if self.setting else self.reason


@contextmanager
def naming(setting: str) -> Iterator[None]:
    """Name the setting of every SourceError raised inside that names none."""
    try:
        yield
    except SourceError as error:
        error.setting = error.setting or setting
        raise


@contextmanager
def reached(location: str) -> Iterator[None]:
    """Turn whatever a storage raises into a SourceError."""
    try:
        yield
    except (SourceError, ImageError):
        raise
    except Exception as error:  # each protocol has its own
        raise SourceError(f"{location} cannot be read: {str(error) or type(error).__name__}") from error


def local_path(location: str) -> Path | None:
    """Return the path that a path or a `file://` URL names on this machine; None for any other URL.

    Raises:
        SourceError: The `file://` URL names another machine.
    """
    if not location.startswith(_FILE):
        return None if is_uri(location) else Path(location)
    # A path has neither query nor fragment: `?` and `#` belong to the file's name.
    host, slash, path = location.removeprefix(_FILE).partition("/")
    if host not in ("", "localhost"):
        raise SourceError(f"{location} is on a machine '{host}'; a file here is file:///{host}/...")
    return Path(slash + unquote(path, errors="surrogateescape"))


def can_list(location: str) -> bool:
    """Tell whether what is below a URL can be listed, which HTTP has no way to ask for."""
    return not location.startswith(_HTTP)


@cache
def open_filesystem(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL and the path in it; raise SourceError if its package is missing."""
    import fsspec

    try:
        options: dict[str, Any] = {}
        if url.startswith(_HTTP):
            import aiohttp

            # aiohttp's default limits the whole file, which a large archive exceeds.
            options["client_kwargs"] = {"timeout": aiohttp.ClientTimeout(total=None, sock_connect=60, sock_read=60)}
        elif not url.startswith("memory:"):
            options["use_listings_cache"] = False  # it would grow with the files
        return cast("tuple[Any, str]", fsspec.core.url_to_fs(url, **options))
    except ImportError as error:
        extra = _EXTRAS.get(url.partition("://")[0].rpartition("::")[2])
        remedy = f"install metrifier[{extra}]" if extra else str(error)
        raise SourceError(f"{url} needs a package that is not installed: {remedy}") from error
    except ValueError as error:
        raise SourceError(f"{url} cannot be read: {error}") from error


def too_large(size: int) -> str | None:
    """Return the fault of a file with more bytes than any image; None where the size is allowed."""
    return f"larger than {MAX_BYTES >> 20} MiB" if size > MAX_BYTES else None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that several threads may read at once, in any order; its methods raise SourceError if it cannot be read.

    Attributes:
        location: Its path or URL, for messages.
        path: Its path in the file system.
        size: Bytes; None where the storage does not say.
        stamp: Changes when the content does.
        filesystem: An fsspec file system; None for a file on this machine.
    """

    location: str
    path: str
    size: int | None
    stamp: str
    filesystem: Any = None

    def open(self, block: int = _BLOCK) -> BinaryIO:
        """Open the file to be read from front to back, `block` bytes per request."""
        with reached(self.location):
            if self.filesystem is None:
                return Path(self.path).open("rb")
            options = {"cache_type": "readahead"} if self.size is not None else {}
            return cast("BinaryIO", self.filesystem.open(self.path, "rb", block_size=block, **options))

    def need_parts(self, reader: str) -> None:
        """Raise SourceError, which says what to do, if the server sends whole files only."""
        if not self.in_parts():
            raise SourceError(
                f"the server of {self.location} sends no parts of files, which {reader} needs: "
                "download it first and name the copy"
            )

    def in_parts(self) -> bool:
        """Tell whether parts can be read alone; some HTTP servers send whole files only."""
        if self.filesystem is None:
            return True
        if self.size is None:
            return False
        if not self.path.startswith(_HTTP):
            return True
        with reached(self.location), self.filesystem.open(self.path, "rb", cache_type="none") as file:
            try:
                file.seek(self.size - 1)
                return len(file.read(1)) == 1
            except (ValueError, OSError):  # how fsspec says that the server ignored the range
                return False

    def read_head(self, length: int) -> bytes:
        """Return the first bytes, at most `length`."""
        with self.open(length) as stream, reached(self.location):
            return read_at_most(stream, length)

    def read_part(self, start: int, length: int) -> bytes:
        """Return `length` bytes from `start`; fewer where the file ends."""
        if not length:
            return b""
        with reached(self.location):
            if self.filesystem is None:
                with Path(self.path).open("rb", buffering=0) as file:
                    return os.pread(file.fileno(), length, start)
            return cast("bytes", self.filesystem.cat_file(self.path, start=start, end=start + length))

    def read_image(self) -> bytes:
        """Return the whole of a remote image file; raise ImageError if it no longer exists or is too large."""
        with reached(self.location):
            try:
                if self.size is None:
                    # Any size saves asking for it; with block_size 0 it is not used.
                    with self.filesystem.open(self.path, block_size=0, size=1) as file:
                        data = read_at_most(file, MAX_BYTES + 1)
                else:
                    end = min(self.size, MAX_BYTES + 1)
                    data = self.filesystem.cat_file(self.path, start=0, end=end) if end else b""
            except FileNotFoundError as error:
                raise ImageError("cannot be read: No such file or directory") from error
        if fault := too_large(len(data)):
            raise ImageError(fault)
        return data


def read_at_most(file: Any, limit: int) -> bytes:
    """Read a stream, which returns as much as has arrived, up to its end or `limit` bytes."""
    pieces, left = [], limit
    while left > 0 and (piece := file.read(min(left, 1 << 20))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
