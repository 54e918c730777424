"""The members of a zip, found in its directory and read one by one, in any order."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

from metrifier_core.images import MAX_BYTES, ImageError
from metrifier_core.sources.items import Member, SourceItem
from metrifier_core.sources.storage import SourceError, StoredFile, reached, too_large
from metrifier_core.sources.unpacking import MAX_EXPANSION

_COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 1
_HARMLESS = 64 << 20  # bytes that a blank picture may unpack to
_HEADER = struct.Struct("<4s22x2H")  # of a member: its magic, ..., the lengths of name and extra field
_MAGIC = b"PK\3\4"


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipMember(Member):
    """A member of a zip, as the directory describes it.

    Attributes:
        end: Where the next member's header begins; `offset` is where its own begins.
        packed_size: Bytes.
        checksum: CRC-32 of the unpacked bytes.
        deflated: Whether it is packed.
    """

    end: int
    packed_size: int
    checksum: int
    deflated: bool


def _fault(entry: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "is a link, which is not followed"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a device"
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if entry.compress_type not in _COMPRESSIONS:
        return "uses another compression than deflate"
    if fault := too_large(max(entry.file_size, entry.compress_size)):
        return fault
    expands = entry.file_size > max(_HARMLESS, MAX_EXPANSION * entry.compress_size)
    return f"unpacks to more than {MAX_EXPANSION} times its size" if expands else None


def list_zip(file: StoredFile) -> Iterator[ZipMember]:
    """List the members of a zip; raise SourceError if the directory at its end is missing or damaged."""
    with reached(file.location), file.open() as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, UnicodeDecodeError, struct.error) as error:
            reason = f"is cut off or damaged: a zip's directory is at its end ({error})"
            raise SourceError(f"{file.location} {reason}") from error
        with archive:
            entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
            ends = [*(entry.header_offset for entry in entries), archive.start_dir][1:]
    for entry, end in zip(entries, ends, strict=True):
        yield ZipMember(
            entry.filename,
            entry.header_offset,
            entry.file_size,
            entry.is_dir(),
            _fault(entry),
            end=end,
            packed_size=entry.compress_size,
            checksum=entry.CRC,
            deflated=entry.compress_type == zipfile.ZIP_DEFLATED,
        )


def zip_item(file: StoredFile, image_id: str, label: int, member: ZipMember) -> SourceItem:
    """Return the item of a member without a fault."""
    return SourceItem(image_id, label, partial(_read, file, member), f"{member.size} {member.checksum:08x}")


def _read(file: StoredFile, member: ZipMember) -> bytes:
    """Return a member's bytes, never more than its directory says, which is at most `MAX_BYTES`."""
    # The header's extra field may be longer than the directory's: ask for all bytes up to the next member.
    longest = _HEADER.size + 2 * 0xFFFF + member.packed_size
    length = min(longest, member.end - member.offset)
    data = file.read_part(member.offset, length) if member.offset >= 0 and length > 0 else b""
    if not data.startswith(_MAGIC) or len(data) < _HEADER.size:
        raise ImageError("damaged: its header is not where the zip's directory says")
    begin = _HEADER.size + sum(cast("tuple[int, int]", _HEADER.unpack_from(data)[1:]))
    packed = memoryview(data)[begin : begin + member.packed_size]
    if len(packed) < member.packed_size:
        raise ImageError("damaged: it overlaps the next member of the zip")
    unpacked = bytes(packed)
    if member.deflated:
        try:
            unpacked = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, min(member.size, MAX_BYTES) + 1)
        except zlib.error as error:
            raise ImageError(f"damaged: {error}") from error
    if len(unpacked) != member.size:
        more = "more" if len(unpacked) > member.size else "less"
        raise ImageError(f"damaged: it unpacks to {more} than the zip's directory says")
    if zlib.crc32(unpacked) != member.checksum:
        raise ImageError("damaged: its checksum is not the one in the zip's directory")
    return unpacked
