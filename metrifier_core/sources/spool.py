"""Images that can only be read in their own order, kept in a temporary file so that they can be read in any."""

import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from metrifier_core.images import ImageError
from metrifier_core.sources.storage import SourceError

Piece = bytes | ImageError
"""Bytes of an image, or why it cannot be read."""


class Spool:
    """The bytes of many images in one temporary file.

    It is filled in one pass, when the first image is read, by the images that are wanted alone. The file has no name:
    it is gone when the spool is, also when the process is killed.
    """

    def __init__(self, setting: str, pieces: Callable[[frozenset[int]], Iterator[tuple[int, Piece]]]) -> None:
        """Makes a spool, which holds nothing yet.

        Args:
            setting: The setting that names the images, for messages.
            pieces: Given the numbers of images, yields their bytes piece by piece, an image's pieces one after the
                other; or says why an image cannot be read.
        """
        self._setting = setting
        self._pieces = pieces
        self._wanted: frozenset[int] = frozenset()
        self._places: dict[int, tuple[int, int]] | None = None
        self._refused: dict[int, str] = {}
        self._failure: SourceError | None = None
        self._lock = threading.Lock()
        self._handle = -1

    def want(self, images: Iterable[int]) -> None:
        """Says which images will be read; before the first is."""
        self._wanted = frozenset(images)

    def read(self, image: int) -> bytes:
        """Reads the bytes of an image.

        Raises:
            ImageError: It cannot be read, or did not come by when the spool was filled.
            SourceError: The spool cannot be filled.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._places is None:
                try:
                    self._places = self._fill()
                except SourceError as error:
                    self._failure = error
                    raise
        if image not in self._places:
            raise ImageError(self._refused.get(image, "cannot be read: it is not where it was when it was listed"))
        start, size = self._places[image]
        return os.pread(self._handle, size, start)

    def _fill(self) -> dict[int, tuple[int, int]]:
        with tempfile.TemporaryFile() as file:
            self._handle = os.dup(file.fileno())
            weakref.finalize(self, os.close, self._handle)
            try:
                return self._write(file)
            except OSError as error:
                folder = tempfile.gettempdir()
                reason = f"its images cannot be kept in {folder}: {error.strerror}; name another folder by TMPDIR"
                raise SourceError(f"{self._setting}: {reason}") from error

    def _write(self, file: BinaryIO) -> dict[int, tuple[int, int]]:
        places: dict[int, tuple[int, int]] = {}
        end = 0
        for image, piece in self._pieces(self._wanted):
            if isinstance(piece, ImageError):
                self._refused[image] = str(piece)
                continue
            file.write(piece)
            start, size = places.get(image, (end, 0))
            places[image] = (start, size + len(piece))
            end += len(piece)
        file.flush()
        return places
