"""Images that can only be read in their stored order, kept in a temporary file so that they can be read in any."""

import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from metrifier_core.images import ImageError
from metrifier_core.sources.items import SourceItem, choose_items
from metrifier_core.sources.storage import SourceError

Piece = bytes | ImageError
"""Bytes of an image, or why it cannot be read."""


class Spool:
    """The bytes of many images in one temporary file.

    Reading the first image fills it, in one pass, with the images that were chosen. The file has no name: it is gone
    with the spool, also when the process is killed.
    """

    def __init__(self, pieces: Callable[[frozenset[int]], Iterator[tuple[int, Piece]]]) -> None:
        """Create an empty spool; `pieces` yields each image's number and bytes, all pieces of one in a row."""
        self._pieces = pieces
        self._numbers: dict[str, int] = {}
        self._chosen: frozenset[int] = frozenset()
        self._places: dict[int, tuple[int, int]] | SourceError | None = None
        self._faults: dict[int, str] = {}
        self._lock = threading.Lock()
        self._handle = -1

    def __repr__(self) -> str:
        return f"Spool({len(self._chosen)} images, {'empty' if self._places is None else 'filled'})"

    def item(self, image_id: str, label: int, number: int, stamp: str) -> SourceItem:
        """Return the item of an image that `pieces` knows by a number."""
        self._numbers[image_id] = number
        return SourceItem(image_id, label, partial(self.read, number), stamp)

    def choose(self, items: Sequence[SourceItem], max_sources: int | None) -> list[SourceItem]:
        """Return what `choose_items` keeps; of these alone the spool will hold the bytes."""
        chosen = choose_items(items, max_sources)
        self._chosen = frozenset(self._numbers[item.image_id] for item in chosen if item.fault is None)
        self._numbers.clear()
        return chosen

    def read(self, number: int) -> bytes:
        """Return the bytes of an image; raise ImageError if there are none, SourceError if the spool stays empty."""
        with self._lock:
            if self._places is None:
                try:
                    self._places = self._fill()
                except SourceError as error:
                    self._places = error  # for all images: nothing is read twice
        if isinstance(self._places, SourceError):
            raise self._places
        if number not in self._places:
            raise ImageError(self._faults.get(number, "cannot be read: it is not where it was when it was listed"))
        start, size = self._places[number]
        return os.pread(self._handle, size, start)

    def _fill(self) -> dict[int, tuple[int, int]]:
        places: dict[int, tuple[int, int]] = {}
        end = 0
        try:
            file = tempfile.TemporaryFile()  # noqa: SIM115
            weakref.finalize(self, file.close)
            for number, piece in self._pieces(self._chosen):
                if isinstance(piece, ImageError):
                    self._faults[number] = str(piece)
                    continue
                start, size = places.get(number, (end, 0))
                places[number] = (start, size + len(piece))
                end += file.write(piece)
            file.flush()
        except OSError as error:
            reason = f"its images cannot be kept in {tempfile.gettempdir()}: {error.strerror}"
            raise SourceError(f"{reason}; name another folder by TMPDIR") from error
        self._handle = file.fileno()
        return places
