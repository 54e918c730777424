"""Files that are read as streams, unpacked on the way; nothing in them is trusted, and memory is bounded."""

import lzma
import zlib
from bz2 import BZ2File
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gzip import GzipFile
from typing import Any, BinaryIO, cast

from metrifier_core.images import MAX_BYTES
from metrifier_core.sources.storage import StoredFile, reached, read_at_most

BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What the decompressors raise where data are damaged or end early."""

MAX_EXPANSION = 200  # times its size: photographs hardly expand, and blank pictures stay below `_HARMLESS`
_HARMLESS = 2 * MAX_BYTES
_PIECE = 1 << 20
_MAX_XZ_MEMORY = 256 << 20  # bytes; `xz -9` asks for a quarter


class BombError(Exception):
    """A stream that expands beyond all reason."""


class Window:
    """A part of an open file, up to its end where `size` is None; its errors are the storage's, not the content's."""

    def __init__(self, file: StoredFile, stream: BinaryIO, start: int = 0, size: int | None = None) -> None:
        self._file, self._stream, self._start, self._size = file, stream, start, size
        self._position = 0

    def __repr__(self) -> str:
        return f"Window({self._file.location}, {self._start}, {self._size})"

    def part(self, start: int, size: int) -> "Window":
        """Return a part of this window."""
        return Window(self._file, self._stream, self._start + start, size)

    def tell(self) -> int:
        """Return the position in the window."""
        return self._position

    def seek(self, position: int) -> None:
        """Seek anywhere; past the end nothing is read."""
        self._position = position

    def read(self, size: int) -> bytes:
        """Read `size` bytes; fewer at the end, or where fewer have arrived."""
        if self._size is not None:
            size = max(0, min(size, self._size - self._position))
        if not size:
            return b""
        with reached(self._file.location):
            if self._stream.tell() != self._start + self._position:
                self._stream.seek(self._start + self._position)
            data = self._stream.read(size)
        self._position += len(data)
        return data


class _XzStream:
    """The content of .xz streams, one after the other; unlike `lzma.LZMAFile`, with a limit on their memory."""

    def __init__(self, packed: Window) -> None:
        self._packed = packed
        self._rest = b""
        self._decompressor = lzma.LZMADecompressor(memlimit=_MAX_XZ_MEMORY)

    def _begin_next(self) -> bool:
        rest = self._decompressor.unused_data
        while not (rest := rest.lstrip(b"\0")):  # zeros fill up between streams
            if not (rest := self._packed.read(_PIECE)):
                return False
        self._rest = rest
        self._decompressor = lzma.LZMADecompressor(memlimit=_MAX_XZ_MEMORY)
        return True

    def read(self, size: int) -> bytes:
        data = b""
        while not data:
            if self._decompressor.eof and not self._begin_next():
                return b""
            packed = b""
            if self._decompressor.needs_input:
                packed, self._rest = self._rest or self._packed.read(_PIECE), b""
                if not packed:
                    raise EOFError("the xz stream ends early")
            data = self._decompressor.decompress(packed, size)
        return data


_OPENERS: dict[bytes, Callable[[Window], Any]] = {
    b"\x1f\x8b": lambda packed: GzipFile(fileobj=cast("Any", packed), mode="rb"),
    b"BZh": lambda packed: BZ2File(cast("Any", packed)),
    b"\xfd7zXZ\0": _XzStream,
}


def is_packed(head: bytes) -> bool:
    """Tell by a file's first bytes whether it is packed by gzip, bzip2 or xz."""
    return head.startswith(tuple(_OPENERS))


class ForwardReader:
    """A stream that only moves forward, with a small and bounded part in memory.

    Reading raises one of `BROKEN` where it is damaged, BombError, or SourceError where its storage stops answering.
    """

    def __init__(self, packed: Window, unpacked: Any) -> None:
        self._packed, self._unpacked = packed, unpacked
        self._position = 0

    def __repr__(self) -> str:
        return f"ForwardReader({self._packed}, at {self._position})"

    def tell(self) -> int:
        """Return how many bytes have been read."""
        return self._position

    def read(self, size: int) -> bytes:
        """Read `size` bytes; fewer at the end alone."""
        data = read_at_most(self._unpacked, size)
        self._position += len(data)
        if self._position > max(_HARMLESS, MAX_EXPANSION * self._packed.tell()):
            raise BombError(f"it expands to more than {MAX_EXPANSION} times its size: what follows is not read")
        return data

    def pieces(self, size: int) -> Iterator[bytes]:
        """Read `size` bytes piece by piece; fewer at the end alone."""
        while size > 0 and (piece := self.read(min(size, _PIECE))):
            size -= len(piece)
            yield piece

    def seek(self, position: int) -> None:
        """Seek forward; past the end is allowed."""
        for _ in self.pieces(position - self._position):
            pass


@contextmanager
def open_window(file: StoredFile) -> Iterator[Window]:
    """Open the whole of a file as a window."""
    with file.open() as stream:
        yield Window(file, stream)


@contextmanager
def open_forward(file: StoredFile) -> Iterator[ForwardReader]:
    """Open a file, packed or not, to be read from front to back."""
    head = file.read_head(8)
    with open_window(file) as packed:
        opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
        yield ForwardReader(packed, opener(packed) if opener else packed)
