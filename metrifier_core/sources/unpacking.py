"""Streams that are read from front to back, unpacked on the way, and never trusted to end."""

import io
import lzma
import zlib
from bz2 import BZ2File
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gzip import GzipFile
from typing import IO, Any, cast

from metrifier_core.images import MAX_BYTES
from metrifier_core.sources.storage import StoredFile

BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What the decompressors raise where data are damaged or end early."""

MAX_EXPANSION = 200  # that a stream may expand: photographs hardly do, and blank pictures do not fill the bytes below
_HARMLESS = 2 * MAX_BYTES
_PIECE = 1 << 20
_XZ_MEMORY = 256 << 20  # bytes; `xz -9` asks for a quarter


class BombError(Exception):
    """A stream that expands beyond all reason."""


class _PackedStream:
    """A file that counts what is read of it, and whose errors are the storage's, never the content's."""

    def __init__(self, file: StoredFile) -> None:
        self._file = file
        self._stream = file.open()
        self.consumed = 0

    def read(self, size: int = -1) -> bytes:
        with self._file.being_read():
            data = self._stream.read(size)
        self.consumed += len(data)
        return data

    def close(self) -> None:
        self._stream.close()


class _XzReader(io.RawIOBase):
    """Unpacks .xz streams, one after the other; unlike `lzma.LZMAFile` it limits the memory that they ask for."""

    def __init__(self, packed: _PackedStream) -> None:
        self._packed = packed
        self._rest = b""
        self._decompressor = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def _begin_next(self) -> bool:
        rest = self._decompressor.unused_data
        while not (rest := rest.lstrip(b"\0")):  # zeros fill up between streams
            if not (rest := self._packed.read(io.DEFAULT_BUFFER_SIZE)):
                return False
        self._rest = rest
        self._decompressor = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
        return True

    def readinto(self, buffer: Any) -> int:
        data = b""
        while not data:
            if self._decompressor.eof and not self._begin_next():
                return 0
            given = b""
            if self._decompressor.needs_input:
                given, self._rest = self._rest or self._packed.read(io.DEFAULT_BUFFER_SIZE), b""
                if not given:
                    raise EOFError("the xz stream ends early")
            data = self._decompressor.decompress(given, len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _open_gzip(packed: _PackedStream) -> IO[bytes]:
    return cast("IO[bytes]", GzipFile(fileobj=cast("Any", packed), mode="rb"))


def _open_bzip2(packed: _PackedStream) -> IO[bytes]:
    return BZ2File(cast("Any", packed))


def _open_xz(packed: _PackedStream) -> IO[bytes]:
    return io.BufferedReader(_XzReader(packed))


def _open_plain(packed: _PackedStream) -> IO[bytes]:
    return cast("IO[bytes]", packed)


_OPENERS: dict[bytes, Callable[[_PackedStream], IO[bytes]]] = {
    b"\x1f\x8b": _open_gzip,
    b"BZh": _open_bzip2,
    b"\xfd7zXZ\0": _open_xz,
}


def is_packed(head: bytes) -> bool:
    """Tells by its first bytes whether a file is packed by gzip, bzip2 or xz."""
    return head.startswith(tuple(_OPENERS))


class ForwardReader:
    """A stream that remembers where it is, goes forward only, and keeps a small and bounded part in memory.

    Reading it raises one of `BROKEN` where it is damaged, BombError, or SourceError where its storage stops answering.
    """

    def __init__(self, stream: IO[bytes], packed: _PackedStream) -> None:
        self._stream = stream
        self._packed = packed
        self._position = 0

    def tell(self) -> int:
        """Says how many bytes have gone by."""
        return self._position

    def read(self, size: int) -> bytes:
        """Reads so many bytes; fewer at the end alone."""
        pieces, left = [], size
        while left > 0 and (piece := self._stream.read(min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
            self._position += len(piece)
            if self._position > max(_HARMLESS, MAX_EXPANSION * self._packed.consumed):
                raise BombError(f"it expands to more than {MAX_EXPANSION} times its size")
        return b"".join(pieces)

    def pieces(self, size: int) -> Iterator[bytes]:
        """Reads so many bytes piece by piece; fewer at the end alone."""
        while size > 0 and (piece := self.read(min(size, _PIECE))):
            size -= len(piece)
            yield piece

    def seek(self, position: int) -> None:
        """Goes forward; the end is no error."""
        for _ in self.pieces(position - self._position):
            pass


@contextmanager
def open_forward(file: StoredFile) -> Iterator[ForwardReader]:
    """Opens a file, packed or not, to be read from front to back.

    Raises:
        SourceError: It cannot be opened, or stops being readable.
    """
    head = file.read_head(8)
    packed = _PackedStream(file)
    try:
        opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), _open_plain)
        yield ForwardReader(opener(packed), packed)
    finally:
        packed.close()
