"""What a source hands out: labelled images that have not been read yet."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from metrifier_core.data.splits import stable_fraction
from metrifier_core.images import ImageError, read_bytes
from metrifier_core.settings.base import Settings
from metrifier_core.sources.storage import StoredFile, naming, too_large


@dataclass(frozen=True, slots=True)
class SourceItem:
    """A labelled image that has not been read yet.

    Attributes:
        image_id: Identity, unique in the source and the same in every run.
        label: Class index, from 0.
        load: Returns the encoded bytes.
        stamp: Changes when the bytes do, such as a file's size and time.
        fault: Why the image cannot be used, where the listing shows it; it is recorded whatever else is chosen.
        setting: The setting that errors of its storage name.
    """

    image_id: str
    label: int
    load: Callable[[], bytes] = field(repr=False)
    stamp: str = ""
    fault: str | None = None
    setting: str = field(default="", repr=False)

    def read(self) -> bytes:
        """Return the encoded bytes.

        Raises:
            ImageError: The image cannot be used.
            SourceError: Its storage cannot be read; the message names the setting.
        """
        with naming(self.setting):
            return self.load()


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an archive.

    Attributes:
        name: As stored; empty for a break between two members.
        offset: Where its bytes begin in the unpacked archive.
        size: Bytes, unpacked.
        is_folder: Whether it is a folder.
        fault: Why it cannot be used.
        is_break: Whether the archive breaks here, so that nothing more can be read.
    """

    name: str
    offset: int = 0
    size: int = 0
    is_folder: bool = False
    fault: str | None = None
    is_break: bool = False


class SourceSettings(Settings):
    """The settings that every kind of source has."""

    location_setting: ClassVar[str] = "kind"
    """The setting that says where the images are: errors that concern no other one name it."""

    max_sources: int | None = Field(None, ge=1, description="use at most this many source images, evenly chosen")
    licence: str = Field("", description="of the images, as the model card states it")

    def list_images(self) -> list[SourceItem]:
        """List the images in any order; raise SourceError if the source is missing, malformed or unreachable."""
        raise NotImplementedError


def file_item(path: Path, image_id: str, label: int) -> SourceItem:
    """Return the item of a file on this machine; reading finds out whether it exists."""
    try:
        status = path.stat()
        stamp = f"{status.st_size} {status.st_mtime_ns}"
    except OSError:
        stamp = "missing"
    # A str takes half the memory of a Path, and there is one per image.
    return SourceItem(image_id, label, partial(read_bytes, str(path)), stamp)


def stored_item(file: StoredFile, image_id: str, label: int) -> SourceItem:
    """Return the item of a file behind a URL."""
    fault = None if file.size is None else too_large(file.size)
    return SourceItem(image_id, label, file.read_image, file.stamp, fault)


def faulty_item(image_id: str, fault: str) -> SourceItem:
    """Return the item of an image that the listing shows to be unusable."""
    return SourceItem(image_id, 0, partial(_fail, fault), fault, fault)


def _fail(fault: str) -> bytes:
    raise ImageError(fault)


def escape_name(name: str) -> str:
    r"""Return a file's name as valid text: bytes that are not UTF-8 become escapes such as `\xff`."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def listing_digest(items: Sequence[SourceItem]) -> str:
    """Return a digest of a listing; another image, label, size or time gives another one."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(f"{item.image_id}\0{item.label}\0{item.stamp}\n".encode())
    return digest.hexdigest()


def choose_items(items: Sequence[SourceItem], max_sources: int | None) -> list[SourceItem]:
    """Sort items by a hash of their identities and keep the first ones.

    A larger `max_sources` keeps the images of a smaller one. All items with a fault come last and do not count.
    """
    ordered = sorted(items, key=lambda item: (stable_fraction(f"order/{item.image_id}"), item.image_id))
    usable = [item for item in ordered if item.fault is None]
    return usable[:max_sources] + [item for item in ordered if item.fault is not None]
