"""What is in a zip, found in its directory; its members are read one by one, in any order."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from metrifier_core.images import MAX_BYTES, ImageError
from metrifier_core.sources.storage import SourceError, StoredFile, reached, too_large
from metrifier_core.sources.unpacking import MAX_EXPANSION

_READ = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 1
_HARMLESS = 64 << 20  # bytes that a blank picture may unpack to
_HEADER = struct.Struct("<4s22x2H")  # of a member: its magic, ..., the lengths of name and extra field
_MAGIC = b"PK\3\4"


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A member of a zip.

    Attributes:
        name: As it stands there.
        start: Where its header begins.
        end: Where what comes next begins.
        packed_size: In bytes.
        size: In bytes, unpacked, as the directory says.
        checksum: CRC-32 of its bytes, as the directory says.
        deflated: Whether it is packed.
        is_folder: Whether it is a folder.
        fault: Why it cannot be used.
    """

    name: str
    start: int
    end: int
    packed_size: int
    size: int
    checksum: int
    deflated: bool
    is_folder: bool
    fault: str | None


def _fault(entry: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "is a link, which is not followed"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a device"
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if entry.compress_type not in _READ:
        return "is packed in another way than stored or deflated"
    expands = entry.file_size > max(_HARMLESS, MAX_EXPANSION * entry.compress_size)
    bomb = f"unpacks to more than {MAX_EXPANSION} times its size" if expands else None
    return too_large(max(entry.file_size, entry.compress_size)) or bomb


def list_zip(file: StoredFile) -> Iterator[ZipMember]:
    """Lists the members of a zip.

    Raises:
        SourceError: Its directory, which stands at its end, is missing or damaged.
    """
    with reached(file.setting, file.location), file.open() as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, UnicodeDecodeError, struct.error) as error:
            reason = f"is cut off or damaged: a zip's directory stands at its end ({error})"
            raise SourceError(f"{file.setting}: {file.location} {reason}") from error
        with archive:
            entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
            starts = [*(entry.header_offset for entry in entries), archive.start_dir]
    for entry, end in zip(entries, starts[1:], strict=True):
        yield ZipMember(
            entry.filename,
            entry.header_offset,
            end,
            entry.compress_size,
            entry.file_size,
            entry.CRC,
            entry.compress_type == zipfile.ZIP_DEFLATED,
            entry.is_dir(),
            _fault(entry),
        )


def read_member(file: StoredFile, member: ZipMember) -> bytes:
    """Reads a member; never more of it than its directory says, and that is at most `MAX_BYTES`.

    Raises:
        ImageError: It is not what the directory says.
        SourceError: The zip cannot be read any more.
    """
    # The header's extra field may be of another length than the directory's: all up to the next member is asked for.
    most = _HEADER.size + 2 * 0xFFFF + member.packed_size
    length = min(most, member.end - member.start)
    data = file.read_part(member.start, length) if member.start >= 0 and length > 0 else b""
    if not data.startswith(_MAGIC) or len(data) < _HEADER.size:
        raise ImageError("damaged: its header is not where the zip's directory says")
    begin = _HEADER.size + sum(cast("tuple[int, int]", _HEADER.unpack_from(data)[1:]))
    packed = memoryview(data)[begin : begin + member.packed_size]
    if len(packed) < member.packed_size:
        raise ImageError("damaged: it runs into the next member of the zip")
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
