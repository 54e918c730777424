"""What every source of labelled images hands out."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import Field

from metrifier_core.data.splits import stable_fraction
from metrifier_core.images import ImageError, read_bytes
from metrifier_core.settings.base import Settings
from metrifier_core.sources.storage import StoredFile, too_large


@dataclass(frozen=True, slots=True)
class SourceItem:
    """One labelled image that has not been read yet.

    Attributes:
        image_id: Its identity, unique in the source and stable over runs.
        label: Class index, from 0.
        read: Reads its encoded bytes; may raise ImageError.
        stamp: What changes when its bytes do, e.g. a file's size and time.
        fault: Why it cannot be used, where the listing shows it already. It is recorded, whatever else is chosen.
    """

    image_id: str
    label: int
    read: Callable[[], bytes]
    stamp: str = ""
    fault: str | None = None


class SourceSettings(Settings):
    """What every kind of source can be asked."""

    max_sources: int | None = Field(None, ge=1, description="use at most this many source images, evenly chosen")
    licence: str = Field("", description="of the images, as the model card states it")


def file_item(path: Path, image_id: str, label: int) -> SourceItem:
    """Makes the item of one image file; a file that is not there is found out when it is read."""
    try:
        status = path.stat()
        stamp = f"{status.st_size} {status.st_mtime_ns}"
    except OSError:
        stamp = "missing"
    # A text takes half of what a path does, of which there are as many as images.
    return SourceItem(image_id, label, partial(read_bytes, str(path)), stamp)


def stored_item(file: StoredFile, image_id: str, label: int) -> SourceItem:
    """Makes the item of a file behind a URL."""
    fault = None if file.size is None else too_large(file.size)
    return SourceItem(image_id, label, file.read_image, file.stamp, fault)


def faulty_item(image_id: str, fault: str) -> SourceItem:
    """Makes the item of what cannot be used, as the listing shows."""
    return SourceItem(image_id, 0, partial(_refuse, fault), fault, fault)


def text(name: str) -> str:
    """Makes an identity, which is text, of a name, which may be any bytes."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _refuse(fault: str) -> bytes:
    raise ImageError(fault)


def listing_digest(items: Sequence[SourceItem]) -> str:
    """Identifies what a source holds: another image, label, size or time gives another digest."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(f"{item.image_id}\0{item.label}\0{item.stamp}\n".encode())
    return digest.hexdigest()


def choose_items(items: Sequence[SourceItem], max_sources: int | None) -> list[SourceItem]:
    """Puts items into an order that depends on their identity alone, and keeps the first ones.

    A larger `max_sources` keeps the images of a smaller one. Those with a fault come last, all of them, and do not
    count.
    """
    ordered = sorted(items, key=lambda item: (stable_fraction(f"order/{item.image_id}"), item.image_id))
    sound = [item for item in ordered if item.fault is None]
    return sound[:max_sources] + [item for item in ordered if item.fault is not None]
