"""A tar or zip of images, read as it is: it is never unpacked to disk, and nothing in it is trusted."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal

from pydantic import Field

from metrifier_core.settings.base import ConfigLocation
from metrifier_core.sources.finding import find_file
from metrifier_core.sources.folder import label_files
from metrifier_core.sources.items import Member, SourceItem, SourceSettings, escape_name, faulty_item
from metrifier_core.sources.manifest import read_manifest
from metrifier_core.sources.spool import Spool
from metrifier_core.sources.storage import SourceError, StoredFile, too_large
from metrifier_core.sources.tar import is_tar, tar_item, walk_tar
from metrifier_core.sources.unpacking import BROKEN, BombError, is_packed, open_forward, open_window
from metrifier_core.sources.zip import list_zip, zip_item

_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")
_ZIPS = (b"PK\3\4", b"PK\5\6")

MakeItem = Callable[[str, int, Any], SourceItem]
"""Makes the item of a sound member, of its identity and its label."""


class ArchiveSource(SourceSettings):
    """Images in `root/CLASS/` of a tar (plain, gzip, bzip2, xz) or a zip, or those that a manifest names."""

    location_setting: ClassVar[str] = "archive"
    kind: Literal["archive"]
    archive: ConfigLocation
    root: str = Field("", description="the folder of the archive that holds the class folders, or the manifest's paths")
    manifest: ConfigLocation | None = Field(None, description="a CSV file of path,label_index, beside the archive")

    def list_images(self) -> list[SourceItem]:
        """List the images; reading finds out which members are images.

        Members that are links, devices, too large or named outside of the archive, and the place where a tar breaks
        off, are listed with their fault.
        """
        file = find_file(self.archive)
        labels = None if self.manifest is None else read_manifest(self.manifest)
        listed, make_item, spool = _open_archive(file)
        members, faulty = _collect(file, listed, PurePosixPath(self.root), whole=labels is None)
        if labels is None:
            labels = label_files(name for name, member in members.items() if not member.is_folder)
            if not labels:
                first = f"; {faulty[0].image_id}: {faulty[0].fault}" if faulty else ""
                where = "/".join(filter(None, (self.archive, self.root)))
                hint = "expected CLASS/IMAGE; source.root names a folder that holds them"
                raise SourceError(f"{where} has no class folders ({hint}){first}")
        items = [_item(name, label, members.get(name), make_item) for name, label in labels.items()] + faulty
        return items if spool is None else spool.choose(items, self.max_sources)


def _item(name: str, label: int, member: Member | None, make_item: MakeItem) -> SourceItem:
    if member is None or member.is_folder:
        return faulty_item(name, "it is not in the archive")
    fault = member.fault or too_large(member.size)
    return faulty_item(name, fault) if fault else make_item(name, label, member)


def _open_archive(file: StoredFile) -> tuple[Iterator[Member], MakeItem, Spool | None]:
    """Find out what kind of archive a file is, and return its members and how to make items of them."""
    head = file.read_head(8)
    if head.startswith(_ZIPS):
        file.need_parts("a zip")
        return list_zip(file), partial(zip_item, file), None
    with open_forward(file) as reader:
        if not is_tar(reader):
            raise SourceError(f"{file.location} is not a tar (plain, gzip, bzip2 or xz) or a zip")
    if not is_packed(head) and file.in_parts():
        return _walk(file, open_window), partial(tar_item, file), None
    spool = Spool(partial(_pieces, file))

    def make_item(image_id: str, label: int, member: Member) -> SourceItem:
        return spool.item(image_id, label, member.offset, f"{file.stamp} {member.offset} {member.size}")

    return _walk(file, open_forward), make_item, spool


def _walk(file: StoredFile, opener: Callable[[StoredFile], Any]) -> Iterator[Member]:
    with opener(file) as reader:
        yield from walk_tar(reader)


def _pieces(file: StoredFile, wanted: frozenset[int]) -> Iterator[tuple[int, bytes]]:
    """Walk through a tar once more, and yield the bytes of the members at some offsets."""
    left = len(wanted)
    try:
        with open_forward(file) as reader:
            for member in walk_tar(reader):
                if member.offset in wanted and not member.fault:
                    yield member.offset, b""  # an empty one has no pieces
                    for piece in reader.pieces(member.size):
                        yield member.offset, piece
                    left -= 1
                if not left:
                    return
    except (BombError, *BROKEN) as error:
        raise SourceError(f"{file.location} changed while it was read: {error}") from error


def _unsafe(name: str) -> str | None:
    """Return how a name climbs out of the archive."""
    if _ABSOLUTE.match(name):
        return "its path is absolute"
    return "its path climbs out of the archive" if ".." in re.split(r"[/\\]", name) else None


def _below(name: str, root: PurePosixPath) -> str | None:
    """Return a member's path below the root; None for others, for hidden ones and for the root itself."""
    path = PurePosixPath(name)
    if not path.is_relative_to(root):
        return None
    parts = path.relative_to(root).parts
    return None if any(part.startswith(".") for part in parts) else "/".join(parts) or None


def _collect(
    file: StoredFile, listed: Iterator[Member], root: PurePosixPath, *, whole: bool
) -> tuple[dict[str, Member], list[SourceItem]]:
    """Return the last member of each path, as unpacking would leave it, and the items of faulty places."""
    members: dict[str, Member] = {}
    faulty: list[SourceItem] = []
    for member in listed:
        name = escape_name(member.name)
        below = _below(name, root)
        if member.is_break and whole:
            # A missing class would shift the labels of the others.
            remedy = "fetch it again, or name the images and their labels in a manifest"
            raise SourceError(f"{file.location} cannot be read to its end, {member.fault}: {remedy}")
        if member.is_break:
            members.pop(below or "", None)
            faulty.append(faulty_item(name or PurePosixPath(file.location).name, member.fault or ""))
        elif fault := _unsafe(name):
            faulty.append(faulty_item(name, fault))
        elif below:
            members[below] = member
    return members, faulty
