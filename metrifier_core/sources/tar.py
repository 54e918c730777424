"""What is in a tar, found without unpacking it; nothing that it says is trusted."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, Self, cast

from metrifier_core.sources.storage import SourceError, StoredFile
from metrifier_core.sources.unpacking import BROKEN, BombError

_MAX_HEADER = 128 << 10  # bytes, with the long names and attributes that go before it


class _BrokenError(Exception):
    """A tar that does not go on as it should."""


@dataclass(frozen=True, slots=True)
class TarMember:
    """A member of a tar.

    Attributes:
        name: As it stands there; empty for a break between two members.
        offset: Where its bytes begin in the unpacked tar.
        size: In bytes.
        is_folder: Whether it is a folder.
        fault: Why it is no plain file, or why the tar breaks.
        is_break: Whether what comes after it cannot be read.
    """

    name: str
    offset: int = 0
    size: int = 0
    is_folder: bool = False
    fault: str | None = None
    is_break: bool = False


class Reader(Protocol):
    """A stream that can at least go forward."""

    def tell(self) -> int:
        """Says where it is."""

    def read(self, size: int) -> bytes:
        """Reads so many bytes; fewer at the end alone."""

    def seek(self, position: int) -> object:
        """Goes forward; the end is no error."""


class Window:
    """A part of a file as a file of its own; its errors are the storage's, never the content's."""

    def __init__(self, file: StoredFile, stream: BinaryIO, start: int, size: int) -> None:
        self._file, self._stream, self._start, self._size = file, stream, start, size
        self._position = 0

    def tell(self) -> int:
        """Says where in the window it is."""
        return self._position

    def seek(self, position: int) -> None:
        """Goes anywhere; beyond the end nothing is read."""
        self._position = position

    def read(self, size: int) -> bytes:
        """Reads so many bytes; fewer at the end alone."""
        left = max(0, min(size, self._size - self._position))
        if not left:
            return b""
        with self._file.being_read():
            if self._stream.tell() != self._start + self._position:
                self._stream.seek(self._start + self._position)
            data = self._stream.read(left)
        self._position += len(data)
        return data


class _HeaderReader:
    """What `tarfile` reads headers from; it lets no header be large, whatever its size is said to be."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.left = _MAX_HEADER
        self.tell, self.seek = reader.tell, reader.seek

    def read(self, size: int) -> bytes:
        self.left -= size
        if size < 0 or self.left < 0:
            raise _BrokenError(f"a header there is larger than {_MAX_HEADER >> 10} KiB")
        return self._reader.read(size)


class _Header(tarfile.TarInfo):
    """Says where a tar breaks off, which `tarfile` takes for its end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        if len(buf) < tarfile.BLOCKSIZE:
            raise _BrokenError("the archive ends early")
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not any(buf):
                raise  # zeros are its end
            raise _BrokenError(f"the archive is damaged there: {error}") from None

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        before = tarfile.offset
        header = super().fromtarfile(tarfile)
        if header.size < 0 or tarfile.offset <= before:
            raise _BrokenError("the archive is damaged there: a member of negative size")
        return header


def is_tar(reader: Reader) -> bool:
    """Tells by its first block whether a stream is a tar."""
    try:
        _Header.frombuf(reader.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return True  # an empty one
    except (_BrokenError, BombError, *BROKEN):
        return False
    return True


def _fault(header: tarfile.TarInfo) -> str | None:
    if header.issym() or header.islnk():
        return "is a link, which is not followed"
    if header.isdev():
        return "is a device"
    return "is no plain file" if header.issparse() or not header.isfile() else None


def _reason(error: Exception) -> str:
    match error:
        case BombError():
            return f"{error}: what follows is not read"
        case _BrokenError():
            return str(error)
        case EOFError():
            return "the archive ends early"
        case _:
            return f"the archive is damaged there: {error}"


def _is_whole(reader: Reader, end: int) -> bool:
    """Tells whether a member's bytes are all there, wherever in them its reader has come to."""
    if reader.tell() >= end:
        return True
    reader.seek(end - 1)
    return len(reader.read(1)) == 1


def walk_tar(reader: Reader) -> Iterator[TarMember]:
    """Walks through a tar, up to where it breaks.

    Whoever reads a member's bytes does so before going on to the next.

    Args:
        reader: The tar, unpacked. All of a `ForwardReader` goes by, of a `Window` little but the headers.

    Yields:
        Every member, and where the tar breaks a last one that says so; it is named after the member that it breaks in.

    Raises:
        SourceError: The storage stops answering.
    """
    headers = _HeaderReader(reader)
    last, within = "", ""
    try:
        tar: Any = tarfile.TarFile(fileobj=cast("BinaryIO", headers), tarinfo=_Header, encoding="utf-8")
        while (header := tar.next()) is not None:
            tar.members.clear()  # it would keep them all
            last = within = header.name
            # A sparse member says how large it would be; what is stored of it is less.
            size = header.size if header.isfile() and not header.issparse() else 0
            yield TarMember(last, header.offset_data, size, header.isdir(), _fault(header))
            if not _is_whole(reader, header.offset_data + size):
                raise EOFError
            within = ""
            headers.left = _MAX_HEADER
    except SourceError:
        raise
    except (_BrokenError, BombError, tarfile.TarError, ValueError, OverflowError, RecursionError, *BROKEN) as error:
        after = f", after {last}" if last and not within else ""
        yield TarMember(within, fault=_reason(error) + after, is_break=True)
