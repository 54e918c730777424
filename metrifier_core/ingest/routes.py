"""Choice of the decoder for a file of a source, and decoding as the stage download does it."""

import io

from PIL.ExifTags import Base as Tag
from PIL.TiffImagePlugin import TiffImageFile

from metrifier_core.images import (
    MAX_PIXELS,
    ImageError,
    check_header,
    detect_format,
    encode_png,
    normalise_image,
    read_orientation,
)
from metrifier_core.ingest.client import REMEDY, IngestDecoder

PILLOW = "pillow"
DECODERS = (PILLOW, IngestDecoder.name)
"""Every value of the column `decoder`."""

_RGB = 2
_UNSIGNED = 1
_ALPHA = (1, 2)  # premultiplied, or not


def find_decoder(data: bytes) -> str:
    """Return the decoder, one of `DECODERS`, that reads the bytes of a file."""
    return PILLOW if _describe_beyond_pillow(data, _open_tiff(data)) is None else IngestDecoder.name


def normalise_source(data: bytes, ingest: IngestDecoder | None, *, max_pixels: int = MAX_PIXELS) -> tuple[bytes, str]:
    """Turn the bytes of a source's image file into bytes that every reader decodes alike.

    Args:
        data: A whole file in any format of `images`, or DICOM.
        ingest: The ingest decoder, or None if it is not installed.
        max_pixels: The limit of pixels.

    Returns:
        (bytes to store, as `normalise_image` makes them, or a PNG; the name of the decoder that read the file).

    Raises:
        ImageError: The image cannot be decoded, or needs the ingest decoder, which is not installed.
        IngestError: The ingest decoder is installed and does not start.
    """
    tiff = _open_tiff(data)
    beyond_pillow = _describe_beyond_pillow(data, tiff)
    if beyond_pillow is None:
        stored, _, _ = normalise_image(data, max_pixels=max_pixels)
        return stored, PILLOW
    if ingest is None:
        raise ImageError(f"{beyond_pillow} needs the ingest decoder: {REMEDY}")
    if tiff is None:
        pixels = ingest.decode(data, "DICOM", max_pixels=max_pixels)
    else:
        check_header(tiff, max_pixels)
        pixels = ingest.decode(data, "TIFF", orientation=read_orientation(tiff), max_pixels=max_pixels)
    return encode_png(pixels), ingest.name


def _describe_beyond_pillow(data: bytes, tiff: TiffImageFile | None) -> str | None:
    """Name the kind of a file that Pillow cannot read, or reads less exactly; return None for all others.

    docs/ingest.md has the measurements.
    """
    if detect_format(data) == "DICOM":
        return "DICOM"
    return "16-bit colour TIFF" if tiff is not None and _is_16_bit_colour(tiff) else None


def _open_tiff(data: bytes) -> TiffImageFile | None:
    if detect_format(data) != "TIFF":
        return None
    try:
        return TiffImageFile(io.BytesIO(data))
    except Exception:  # normalise_image names the reason
        return None


def _is_16_bit_colour(tiff: TiffImageFile) -> bool:
    """Return whether samples are unsigned 16-bit RGB, alone or with alpha.

    tensorflow-io takes any fourth sample for alpha, and cannot read 16-bit CMYK.
    """
    tags = tiff.tag_v2
    bits = tags.get(Tag.BitsPerSample, (1,))
    extra = tags.get(Tag.ExtraSamples, ())
    return (
        tags.get(Tag.PhotometricInterpretation) == _RGB
        and set(bits) == {16}
        and set(tags.get(Tag.SampleFormat, (_UNSIGNED,))) == {_UNSIGNED}
        and (len(bits) == 3 or (len(bits) == 4 and extra[:1] and extra[0] in _ALPHA))  # noqa: PLR2004
    )
