"""The members of a tar, found without unpacking it; nothing in it is trusted."""

import tarfile
from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO, Self, cast

from metrifier_core.images import ImageError
from metrifier_core.sources.items import Member, SourceItem, faulty_item
from metrifier_core.sources.storage import SourceError, StoredFile, too_large
from metrifier_core.sources.unpacking import BROKEN, BombError, ForwardReader, Window

_MAX_HEADER = 128 << 10  # bytes, with the long names and attributes before it
_EARLY = "the archive ends early"


class _BrokenError(Exception):
    """A tar that does not go on as it should."""


class _HeaderReader:
    """The file that `tarfile` reads headers from; it limits their size, whatever they say."""

    def __init__(self, reader: ForwardReader | Window) -> None:
        self._reader = reader
        self.left = _MAX_HEADER
        self.tell, self.seek = reader.tell, reader.seek

    def read(self, size: int) -> bytes:
        self.left -= size
        if size < 0 or self.left < 0:
            raise _BrokenError(f"a header there is larger than {_MAX_HEADER >> 10} KiB")
        return self._reader.read(size)


class _Header(tarfile.TarInfo):
    """A header that raises where a tar breaks off, which `tarfile` takes for its end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        if len(buf) < tarfile.BLOCKSIZE:
            raise _BrokenError(_EARLY)
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not any(buf):
                raise  # zeros mark the end
            raise _BrokenError(f"the archive is damaged there: {error}") from None

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        before = tarfile.offset
        header = super().fromtarfile(tarfile)
        if header.size < 0 or tarfile.offset <= before:
            raise _BrokenError("the archive is damaged there: a member of negative size")
        return header


def is_tar(reader: ForwardReader | Window) -> bool:
    """Tell by its first block whether a stream is a tar."""
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
    return "is not a plain file" if header.issparse() or not header.isfile() else None


def walk_tar(reader: ForwardReader | Window) -> Iterator[Member]:
    """Walk through a tar, up to where it breaks.

    Callers that want a member's bytes read them before they go on to the next member.

    Args:
        reader: The unpacked tar. A `ForwardReader` is read whole, a `Window` little more than its headers.

    Yields:
        Each member. Where the tar breaks, a last one with the fault, named after the member that it breaks in.

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
            # A sparse member's size includes its holes; what is stored of it is less.
            size = header.size if header.isfile() and not header.issparse() else 0
            end = header.offset_data + size
            yield Member(last, header.offset_data, size, header.isdir(), _fault(header))
            if reader.tell() < end:
                reader.seek(end - 1)
                if not reader.read(1):
                    raise _BrokenError(_EARLY)
            within = ""
            headers.left = _MAX_HEADER
    except SourceError:
        raise
    except (_BrokenError, BombError, tarfile.TarError, ValueError, OverflowError, RecursionError, *BROKEN) as error:
        fault = str(error) if isinstance(error, BombError | _BrokenError) else f"the archive is damaged there: {error}"
        after = f", after {last}" if last and not within else ""
        yield Member(within, fault=(_EARLY if isinstance(error, EOFError) else fault) + after, is_break=True)


def tar_item(file: StoredFile, image_id: str, label: int, member: Member, start: int = 0) -> SourceItem:
    """Return the item of a member that is read out of the file itself, of a tar that begins at `start`."""
    if fault := member.fault or too_large(member.size):
        return faulty_item(image_id, fault)
    offset = start + member.offset
    load = partial(_read, file, offset, member.size)
    return SourceItem(image_id, label, load, f"{file.stamp} {offset} {member.size}")


def _read(file: StoredFile, start: int, size: int) -> bytes:
    data = file.read_part(start, size)
    if len(data) < size:
        raise ImageError(f"cannot be read: {_EARLY}")
    return data
