"""Which decoder reads which files of a source, and why; and the one way in which `download` decodes."""

import io
from collections.abc import Callable
from typing import NamedTuple

from PIL import features
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    EXTRASAMPLES,
    PHOTOMETRIC_INTERPRETATION,
    SAMPLEFORMAT,
    TiffImageFile,
)

from metrifier_core.images import (
    MAX_PIXELS,
    ImageError,
    check_header,
    encode_png,
    format_of,
    normalise_image,
    read_orientation,
)
from metrifier_core.ingest.client import REMEDY, IngestDecoder

PILLOW = "pillow"
DECODERS = (PILLOW, IngestDecoder.name)
"""Every value of the column `decoder`."""

_RGB = 2
_UNSIGNED = 1
_ALPHA = (1, 2)  # multiplied, or not
_CODECS = {"JPEG": "jpg", "WebP": "webp", "AVIF": "avif"}


class _File(NamedTuple):
    format: str | None
    tiff: TiffImageFile | None  # its first page's header


class Route(NamedTuple):
    """Some files and who decodes them.

    Attributes:
        files: The files, in words.
        decoder: One of `DECODERS`.
        why: What was measured, in short; docs/ingest.md has the table.
        takes: Whether a file is one of them.
    """

    files: str
    decoder: str
    why: str
    takes: Callable[[_File], bool]


def _is_16_bit_colour(file: _File) -> bool:
    """RGB of unsigned 16-bit samples, without a fourth or with alpha for it.

    A fourth that is something else tensorflow-io takes for alpha, and 16-bit CMYK it does not read.
    """
    if file.tiff is None:
        return False
    tags = file.tiff.tag_v2
    bits = tags.get(BITSPERSAMPLE, (1,))
    extra = tags.get(EXTRASAMPLES, ())
    return (
        tags.get(PHOTOMETRIC_INTERPRETATION) == _RGB
        and set(bits) == {16}
        and set(tags.get(SAMPLEFORMAT, (_UNSIGNED,))) == {_UNSIGNED}
        and (len(bits) == 3 or (len(bits) == 4 and extra[:1] and extra[0] in _ALPHA))  # noqa: PLR2004
    )


def _lacks_codec(file: _File) -> bool:
    return file.format in _CODECS and not features.check(_CODECS[file.format])


ROUTES = (
    Route("DICOM", IngestDecoder.name, "Pillow has no reader", lambda file: file.format == "DICOM"),
    Route(
        "16-bit colour TIFF",
        IngestDecoder.name,
        "Pillow keeps the high byte, and reads a plane a colour wrongly; tensorflow-io rounds, and reads planes",
        _is_16_bit_colour,
    ),
    Route(
        "JPEG, WebP or AVIF, without Pillow's codec,",
        IngestDecoder.name,
        "some systems' own Pillow is built without; tensorflow-io refuses what it does not see",
        _lacks_codec,
    ),
    Route(
        "everything else",
        PILLOW,
        "Pillow has the same pixels (8-bit and paged TIFF, WebP, turned JPEG) or better ones (16-bit grey, AVIF)",
        lambda file: True,  # noqa: ARG005
    ),
)
"""The first route that takes a file is the one it goes."""


def normalise_source(data: bytes, ingest: IngestDecoder | None, *, max_pixels: int = MAX_PIXELS) -> tuple[bytes, str]:
    """Turns the bytes of a source's image file into bytes that every reader sees alike.

    Args:
        data: A whole file in any format of `images`, or DICOM.
        ingest: The ingest decoder, or None where there is none.
        max_pixels: The most pixels that are accepted.

    Returns:
        (bytes to store, as `normalise_image` makes them, or a PNG; the name of the decoder that read the file).

    Raises:
        ImageError: Whatever is wrong with the bytes, also that they need the ingest decoder and there is none.
        IngestError: The ingest decoder is there and does not start.
    """
    file = _open(data)
    route = _route(file)
    if file.format is None or route.decoder == PILLOW:
        stored, _, _ = normalise_image(data, max_pixels=max_pixels)
        return stored, PILLOW
    if ingest is None:
        raise ImageError(f"{route.files} needs the ingest decoder: {REMEDY}")
    orientation = 1
    if file.tiff is not None:
        check_header(file.tiff, max_pixels)
        orientation = read_orientation(file.tiff)
    pixels = ingest.decode(
        data,
        file.format,
        orientation=int(orientation) if orientation in range(1, 9) else 1,  # it may be a fraction
        max_pixels=max_pixels,
    )
    return encode_png(pixels), ingest.name


def find_route(data: bytes) -> Route:
    """Finds the way that the bytes of a file go."""
    return _route(_open(data))


def _route(file: _File) -> Route:
    return next(route for route in ROUTES if route.takes(file))


def _open(data: bytes) -> _File:
    name = format_of(data)
    if name != "TIFF":
        return _File(name, None)
    try:
        return _File(name, TiffImageFile(io.BytesIO(data)))
    except Exception:  # goes to Pillow, which names the reason
        return _File(name, None)
