"""Files here or behind a URL, read in any order by several threads at once."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

from metrifier_core.images import MAX_BYTES, ImageError
from metrifier_core.settings.base import is_uri

_EXTRAS = {"http": "http", "https": "http", "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
_UNLISTED = ("http", "https")
_FILE = "file://"
_BLOCK = 8 << 20  # bytes that are asked for at a time where a remote file is read from front to back

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


def can_list(location: str) -> bool:
    """Tells whether what is below a URL can be listed, which HTTP has no way to ask for."""
    return not location.startswith(_UNLISTED)


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


def open_filesystem(setting: str, url: str) -> tuple[Any, str]:
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
        raise unreadable(setting, location, error) from error


def unreadable(setting: str, location: str, error: Exception) -> SourceError:
    """Names the setting and the reason of a storage that does not answer."""
    return SourceError(f"{setting}: {location} cannot be read: {str(error) or type(error).__name__}")


def stamp_of(information: Mapping[str, Any]) -> str:
    """Makes a file's stamp of what its storage tells of it."""
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
            raise unreadable(self.setting, self.location, error) from error

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
            return read_at_most(stream, length)

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
                    data = read_at_most(file, MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise ImageError("cannot be read: No such file or directory") from error
        if reason := too_large(len(data)):
            raise ImageError(reason)
        return data

    def _reach_part(self, length: int) -> bytes:
        with reached(self.setting, self.location):
            return cast("bytes", self.filesystem.cat_file(self.path, start=0, end=length))


def read_at_most(file: Any, limit: int) -> bytes:
    """Reads a stream, which gives as much as has arrived, up to its end or a limit."""
    pieces, left = [], limit
    while left > 0 and (piece := file.read(min(left, 1 << 20))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
