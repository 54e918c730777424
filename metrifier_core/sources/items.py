"""What every source of labelled images hands out."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import Field

from metrifier_core.images import read_bytes
from metrifier_core.settings import Settings
from metrifier_core.splits import stable_fraction

__all__ = ["SourceItem", "SourceSettings", "choose_items", "file_item", "listing_digest"]


@dataclass(frozen=True)
class SourceItem:
    """One labelled image that has not been read yet.

    Attributes:
        image_id: Its identity, unique in the source and stable over runs.
        label: Class index, from 0.
        read: Reads its encoded bytes; may raise ImageError.
        stamp: What changes when its bytes do, e.g. a file's size and time.
    """

    image_id: str
    label: int
    read: Callable[[], bytes]
    stamp: str = ""


class SourceSettings(Settings):
    """What every kind of source can be asked."""

    max_sources: int | None = Field(None, ge=1, description="use at most this many source images, evenly chosen")


def file_item(path: Path, image_id: str, label: int) -> SourceItem:
    """Makes the item of one image file; a file that is not there is found out when it is read."""
    try:
        status = path.stat()
        stamp = f"{status.st_size} {status.st_mtime_ns}"
    except OSError:
        stamp = "missing"
    return SourceItem(image_id, label, partial(read_bytes, path), stamp)


def listing_digest(items: Sequence[SourceItem]) -> str:
    """Identifies what a source holds: another image, label, size or time gives another digest."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(f"{item.image_id}\0{item.label}\0{item.stamp}\n".encode())
    return digest.hexdigest()


def choose_items(items: Sequence[SourceItem], max_sources: int | None) -> list[SourceItem]:
    """Puts items into an order that depends on their identity alone, and keeps the first ones.

    A larger `max_sources` keeps the images of a smaller one.
    """
    ordered = sorted(items, key=lambda item: (stable_fraction(f"order/{item.image_id}"), item.image_id))
    return ordered[:max_sources]
