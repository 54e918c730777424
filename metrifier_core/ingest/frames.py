"""What the package and the ingest decoder's process say to each other: frames of a small JSON header and raw bytes."""

import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

_PREFIX = struct.Struct(">4sIQ")  # magic, bytes of the header, bytes of the body
_MAGIC = b"MIF1"
_MAX_HEADER = 4096


class FrameError(ValueError):
    """Bytes that are no frame, or one that is larger than allowed."""


def write_frame(stream: BinaryIO, header: Mapping[str, Any], body: bytes | memoryview = b"") -> None:
    """Writes one frame.

    Args:
        stream: Where to.
        header: Numbers and short texts, at most 4096 bytes as JSON.
        body: Whatever the header is about.
    """
    text = json.dumps(dict(header)).encode()
    stream.write(_PREFIX.pack(_MAGIC, len(text), len(body)))
    stream.write(text)
    stream.write(body)
    stream.flush()


def read_frame(stream: BinaryIO, max_body: int) -> tuple[dict[str, Any], bytearray]:
    """Reads one frame.

    Args:
        stream: Where from.
        max_body: The most bytes that the body may have; more are refused before any of them is read.

    Returns:
        (header, body).

    Raises:
        EOFError: The stream ended.
        FrameError: What came is no frame, or too large a one.
    """
    magic, header_size, body_size = _PREFIX.unpack(_read(stream, _PREFIX.size))
    if magic != _MAGIC or header_size > _MAX_HEADER or body_size > max_body:
        raise FrameError("no frame, or too large a one")
    try:
        header = json.loads(_read(stream, header_size))
    except ValueError as error:
        raise FrameError("a frame's header is no JSON") from error
    if not isinstance(header, dict):
        raise FrameError("a frame's header is no JSON object")
    return header, _read(stream, body_size)


def _read(stream: BinaryIO, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = stream.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        view = view[count:]
    return data
