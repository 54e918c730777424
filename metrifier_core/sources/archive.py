"""A tar or zip of images, read as it is: it is never unpacked to disk, and nothing in it is trusted."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field

from metrifier_core.images import ImageError
from metrifier_core.settings.base import ConfigLocation
from metrifier_core.sources.classes import label_files
from metrifier_core.sources.finding import find_file
from metrifier_core.sources.items import SourceItem, SourceSettings, choose_items, faulty_item, text
from metrifier_core.sources.manifest import read_manifest
from metrifier_core.sources.spool import Spool
from metrifier_core.sources.storage import SourceError, StoredFile, too_large
from metrifier_core.sources.tar import TarMember, Window, is_tar, walk_tar
from metrifier_core.sources.unpacking import BROKEN, BombError, is_packed, open_forward
from metrifier_core.sources.zip import list_zip, read_member

_SETTING = "source.archive"
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")
_ZIPS = (b"PK\3\4", b"PK\5\6")


class ArchiveSource(SourceSettings):
    """Images in `root/class/` of a tar (plain, gzip, bzip2, xz) or a zip, or those that a manifest names."""

    kind: Literal["archive"]
    archive: ConfigLocation
    root: str = Field("", description="the folder of the archive that holds the class folders, or the manifest's paths")
    manifest: ConfigLocation | None = Field(None, description="a CSV file of path,label_index, beside the archive")


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an archive.

    Attributes:
        name: As it stands there; empty for a break between two of them.
        read: Reads its bytes.
        stamp: What changes when its bytes do.
        is_folder: Whether it is a folder.
        fault: Why it cannot be used.
        is_break: Whether what comes after it cannot be read.
        key: What the spool knows it by.
    """

    name: str
    read: Callable[[], bytes]
    stamp: str
    is_folder: bool
    fault: str | None
    is_break: bool = False
    key: int = -1


def read_stored(file: StoredFile, start: int, size: int) -> bytes:
    """Reads the bytes of an image that stand in a larger file.

    Raises:
        ImageError: The file has become shorter.
        SourceError: The file cannot be read any more.
    """
    data = file.read_part(start, size)
    if len(data) < size:
        raise ImageError("cannot be read: the archive ends early")
    return data


def list_tar_members(file: StoredFile, members: Iterator[TarMember], start: int = 0) -> Iterator[Member]:
    """Makes members that are read out of the file itself, of those of a tar that begins at a place in it."""
    for member in members:
        place = start + member.offset
        read = partial(read_stored, file, place, member.size)
        stamp = f"{file.stamp} {place} {member.size}"
        fault = member.fault or too_large(member.size)
        yield Member(member.name, read, stamp, member.is_folder, fault, member.is_break)


def _spooled(file: StoredFile, wanted: frozenset[int]) -> Iterator[tuple[int, bytes]]:
    """Goes through a tar once more, and yields the bytes of some members."""
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
        raise SourceError(f"{file.setting}: {file.location} changed while it was read: {error}") from error


def _walk(file: StoredFile, spool: Spool | None) -> Iterator[Member]:
    if spool is None:
        with file.open() as stream:
            yield from list_tar_members(file, walk_tar(Window(file, stream, 0, file.size or 0)))
        return
    with open_forward(file) as reader:
        for member in walk_tar(reader):
            read, stamp = partial(spool.read, member.offset), f"{file.stamp} {member.offset} {member.size}"
            fault = member.fault or too_large(member.size)
            yield Member(member.name, read, stamp, member.is_folder, fault, member.is_break, member.offset)


def _zip_members(file: StoredFile) -> Iterator[Member]:
    for member in list_zip(file):
        read, stamp = partial(read_member, file, member), f"{member.size} {member.checksum:08x}"
        yield Member(member.name, read, stamp, member.is_folder, member.fault)


def _open_archive(file: StoredFile) -> tuple[Iterator[Member], Spool | None]:
    """Finds out what kind of archive a file is, and how its members are read."""
    head = file.read_head(8)
    if head.startswith(_ZIPS):
        file.need_parts("a zip")
        return _zip_members(file), None
    with open_forward(file) as reader:
        if not is_tar(reader):
            raise SourceError(f"{_SETTING}: {file.location} is no tar (plain, gzip, bzip2 or xz) and no zip")
    if not is_packed(head) and file.in_parts():
        return _walk(file, None), None
    spool = Spool(_SETTING, partial(_spooled, file))
    return _walk(file, spool), spool


def _unsafe(name: str) -> str | None:
    """Says how a name climbs out of the archive."""
    if _ABSOLUTE.match(name):
        return "its path is absolute"
    return "its path climbs out of the archive" if ".." in re.split(r"[/\\]", name) else None


def _below(name: str, root: PurePosixPath) -> str | None:
    """Gives a member's path below a folder; None where it is not there, or is hidden as desktops hide their own."""
    path = PurePosixPath(name)
    if not path.is_relative_to(root):
        return None
    parts = path.relative_to(root).parts  # none are left of the root itself, which tar and zip list as well
    return None if any(part.startswith(".") for part in parts) else "/".join(parts) or None


def _collect(
    file: StoredFile, members: Iterator[Member], root: PurePosixPath, *, whole: bool
) -> tuple[dict[str, Member], list[SourceItem]]:
    """Sorts members by their path, the last of a name as if they were unpacked, from what cannot be used.

    Raises:
        SourceError: It breaks off and is to be whole.
    """
    found: dict[str, Member] = {}
    faulty: list[SourceItem] = []
    for member in members:
        name = text(member.name)
        below = _below(name, root)
        if member.is_break and whole:
            # A class that is passed over would give the others labels that are not theirs.
            remedy = "fetch it again, or name the images and their labels in a manifest"
            raise SourceError(f"{_SETTING}: {file.location} cannot be read to its end, {member.fault}: {remedy}")
        if member.is_break:
            found.pop(below or "", None)
            faulty.append(faulty_item(name or PurePosixPath(file.location).name, member.fault or ""))
        elif reason := _unsafe(name):
            faulty.append(faulty_item(name, reason))
        elif below:
            found[below] = member
    return found, faulty


def _item(name: str, member: Member, label: int) -> SourceItem:
    if member.fault:
        return faulty_item(name, member.fault)
    return SourceItem(name, label, member.read, member.stamp)


def _list_classes(found: dict[str, Member], faulty: list[SourceItem], where: str) -> list[SourceItem]:
    """Labels members by their class folders, as those of `kind: folder` are."""
    labels = label_files(name for name, member in found.items() if not member.is_folder)
    if not labels:
        why = f"; {faulty[0].image_id}: {faulty[0].fault}" if faulty else ""
        hint = "expected CLASS/IMAGE; source.root names a folder that holds them"
        raise SourceError(f"{_SETTING}: {where} has no class folders ({hint}){why}")
    return [_item(name, found[name], label) for name, label in labels.items()]


def _list_named(found: dict[str, Member], labels: dict[str, int]) -> list[SourceItem]:
    missing = "it is not in the archive"
    return [
        faulty_item(name, missing) if name not in found or found[name].is_folder else _item(name, found[name], label)
        for name, label in labels.items()
    ]


def list_archive(settings: ArchiveSource) -> list[SourceItem]:
    """Lists the images of an archive; what is no image is found out when it is read.

    Members that are links, devices, too large or named outside of the archive, and the place where a tar breaks off,
    are listed with their fault.

    Raises:
        SourceError: The archive or the manifest is missing or is none; it has no class folders, or breaks off, and
            these decide the labels.
    """
    file = find_file(_SETTING, settings.archive)
    labels = None if settings.manifest is None else read_manifest(settings.manifest, "the archive's root")
    members, spool = _open_archive(file)
    found, faulty = _collect(file, members, PurePosixPath(settings.root), whole=labels is None)
    where = "/".join(filter(None, (settings.archive, settings.root)))
    items = _list_classes(found, faulty, where) if labels is None else _list_named(found, labels)
    chosen = choose_items([*items, *faulty], settings.max_sources)
    if spool is not None:
        spool.want(found[item.image_id].key for item in chosen if item.fault is None)
    return chosen
