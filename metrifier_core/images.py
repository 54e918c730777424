"""Bytes <-> uint8 RGB (H, W, 3); every bad input ends here as ImageError."""

import io
import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    TILELENGTH,
    TILEWIDTH,
    TiffImageFile,
)
from PIL.WebPImagePlugin import WebPImageFile

MAX_PIXELS = 100_000_000
MIN_SIDE = 8
MAX_BYTES = 512 << 20  # of a file: more than any image of `MAX_PIXELS`, less than a film
MAX_SIDE = 65_500  # the most that libjpeg writes

_MAX_METADATA = 1 << 20  # bytes that an image is stored with beside its pixels

_FILTERED_ONLY = [cv2.IMWRITE_PNG_COMPRESSION, 0, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]

_PNG = b"\x89PNG\r\n\x1a\n"

RgbImage: TypeAlias = NDArray[np.uint8]


class ImageError(ValueError):
    """An image that cannot be used; the message is one short sentence naming the reason."""


class _Format(NamedTuple):
    name: str
    magic: bytes
    reader: Callable[[io.BytesIO], ImageFile]


# Pillow's readers are called directly, not through `Image.open`: no exotic parser can be reached, and the
# pixel limit is ours, a call's own, where Pillow's is one global for the process.
_FORMATS = (
    _Format("JPEG", rb"\xff\xd8\xff", JpegImageFile),
    _Format("PNG", re.escape(_PNG), PngImageFile),
    _Format("WebP", rb"RIFF....WEBP", WebPImageFile),
    _Format("GIF", rb"GIF8[79]a", GifImageFile),
    _Format("BMP", rb"BM", BmpImageFile),
    _Format("TIFF", rb"II[*+]\0|MM\0[*+]", TiffImageFile),
    _Format("PPM", rb"P[1-6]\s", PpmImageFile),
    _Format("AVIF", rb"....ftyp(avif|avis|mif1|msf1)", AvifImageFile),
)

_DICOM = re.compile(rb".{128}DICM", re.DOTALL)

_READ_PAST_THE_END = (IndexError, EOFError, struct.error)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> RgbImage:
    """Decode the bytes of an image file as a viewer would show it.

    The EXIF orientation is applied, transparency is laid on white, grey, palette, CMYK and YCbCr become RGB,
    16-bit samples are scaled to 8 bits (grey by rounding value / 257; of colour the high byte is kept, which
    is what other readers do; of a TIFF `download` rounds it, see `ingest`), and of several frames or pages the
    first one counts. Colour profiles are ignored, as classifiers' own input pipelines ignore them.

    Args:
        data: a whole JPEG, PNG, WebP, GIF, BMP, TIFF, PPM or AVIF file.
        max_pixels: the most pixels that are accepted, read from the header before any pixel is decoded.

    Returns:
        uint8 (height, width, 3), RGB, C-contiguous, writable and its own.

    Raises:
        ImageError: whatever is wrong with the bytes.
    """
    return _read(data, max_pixels)[0]


def decode_version(data: bytes) -> RgbImage:
    """Decode what `normalise_image`, `encode_png` or a distortion's codec made: the pixels of `decode_image`, sooner.

    Args:
        data: such bytes.

    Returns:
        as `decode_image`.

    Raises:
        ImageError: whatever is wrong with the bytes.
    """
    # Of a PNG every decoder makes the same; of a JPEG not quite.
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data.startswith(_PNG) else None
    return decode_image(data) if image is None else np.asarray(image, np.uint8)


def normalise_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[bytes, int, int]:
    """Turn the bytes of an image file into bytes that every reader sees alike.

    Args:
        data: as in `decode_image`.
        max_pixels: as in `decode_image`.

    Returns:
        (bytes to store, height in pixels, width in pixels). The bytes are the given ones where these are a
        complete 8-bit RGB JPEG, PNG or WebP of one frame with nothing to turn or to make opaque, hardly larger
        than its pixels, so that nothing is re-encoded; otherwise they are the decoded image as PNG.

    Raises:
        ImageError: whatever is wrong with the bytes; they are decoded fully to find out.
    """
    image, plain = _read(data, max_pixels)
    height, width, _ = image.shape
    # What is larger than its pixels carries something else along.
    kept = plain and len(data) <= image.nbytes + _MAX_METADATA
    return data if kept else encode_png(image), height, width


def read_image(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> RgbImage:
    """Read and decode an image file.

    Args:
        path: the file.
        max_pixels: as in `decode_image`.

    Returns:
        uint8 (height, width, 3), RGB, as `decode_image` returns it.

    Raises:
        ImageError: the file cannot be read, or whatever is wrong with its bytes.
    """
    return decode_image(read_bytes(path), max_pixels=max_pixels)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read the bytes of an image file.

    Raises:
        ImageError: the file cannot be read, or is too large to be an image.
    """
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise ImageError(f"cannot be read: {reason}") from error
    if len(data) > MAX_BYTES:
        raise ImageError(f"larger than {MAX_BYTES >> 20} MiB")
    return data


def encode_png(image: RgbImage, *, deflate: bool = True) -> bytes:
    """Encode an image losslessly; the same pixels give the same bytes.

    Args:
        image: uint8 (height, width, 3), RGB.
        deflate: False leaves the filtered pixels uncompressed, for a table that compresses its columns itself: with
            Parquet's zstd that is smaller than a fast deflate, and several times faster (benchmarks/storage.py).

    Returns:
        The bytes of an 8-bit RGB PNG.
    """
    # OpenCV's defaults (zlib level 1, run lengths, one fixed filter) take half the time of an explicit
    # level 1, which brings back a search over all filters, for files of the same size.
    options = [] if deflate else _FILTERED_ONLY
    encoded: NDArray[np.uint8] = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1]
    return encoded.tobytes()


def check_image(image: object) -> RgbImage:
    """Check an array that a caller passes as an image.

    Args:
        image: should be uint8 (height, width, 3), RGB, each side from `MIN_SIDE` to `MAX_SIDE` pixels.

    Returns:
        The same array.

    Raises:
        ImageError: it is something else; the message says what was expected and what was got.
    """
    expected = "expected a uint8 array (height, width, 3)"
    if not isinstance(image, np.ndarray):
        raise ImageError(f"{expected}, got {type(image).__name__}")
    if image.dtype != np.uint8 or image.shape[2:] != (3,):
        message = f"{expected}, got {image.dtype} {image.shape}"
        if np.issubdtype(image.dtype, np.floating) and image.size and 0 <= image.min() <= image.max() <= 1:
            message += ": multiply by 255, round and cast to uint8"
        raise ImageError(message)
    height, width, _ = image.shape
    _check_sides(width, height)
    return image


def check_size(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Checks a size that a header claims, before any pixel is decoded.

    Raises:
        ImageError: A side is not from `MIN_SIDE` to `MAX_SIDE` pixels, or there are more than `max_pixels`.
    """
    _check_sides(width, height)
    if width * height > max_pixels:
        raise ImageError(f"{width} x {height} pixels exceed the limit of {max_pixels / 1e6:g} megapixels")


def check_header(image: ImageFile, max_pixels: int = MAX_PIXELS) -> None:
    """Checks what is to be decoded of an image file that Pillow has opened, before any pixel is.

    Raises:
        ImageError: As `check_size`, also of a TIFF's tile: it is decoded whole, however little the image takes of it.
    """
    check_size(*image.size, max_pixels)
    if isinstance(image, TiffImageFile):
        width, height = (int(image.tag_v2.get(tag, 0)) for tag in (TILEWIDTH, TILELENGTH))
        if width * height > max_pixels:
            raise ImageError(
                f"a tile of {width} x {height} pixels exceeds the limit of {max_pixels / 1e6:g} megapixels"
            )


def format_of(data: bytes) -> str | None:
    """Names the format of an image file by how it begins.

    Returns:
        JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, AVIF or DICOM; None where it is none of these.
    """
    if _DICOM.match(data):  # first: what stands before the 128th byte may begin as a TIFF, and often does
        return "DICOM"
    return next((name for name, magic, _ in _FORMATS if re.match(magic, data, re.DOTALL)), None)


def read_orientation(image: ImageFile) -> Any:
    """Reads EXIF's orientation: from 1 to 8, None where there is none, and whatever else a file may say."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # broken metadata does not spoil the pixels
        return None


def _read(data: bytes, max_pixels: int) -> tuple[RgbImage, bool]:
    """Decode to (pixels, whether the data are plain: any RGB reader would see these pixels)."""
    name, reader = _recognise(data)
    with _reasons_named(name):
        image = reader(io.BytesIO(data))
        check_header(image, max_pixels)
        if _has_wide_planes(image):
            raise ImageError("16-bit samples in a plane a colour, which Pillow reads wrongly")
        # Asked now, because loading empties the tiles. Pillow itself keeps the high bytes of 16-bit colour.
        has_8_bits = not any(";16" in str(tile.args) for tile in image.tile)
        image.load()

        opaque = _opaque(_with_8_bits(image))
        turn = _UPRIGHT.get(read_orientation(image))
        pixels = np.array(opaque.transpose(turn) if turn is not None else opaque)
        plain = (
            name in {"JPEG", "PNG", "WebP"}
            and has_8_bits
            and opaque is image
            and turn is None
            and getattr(image, "n_frames", 1) == 1
        )
        return pixels, plain


def _recognise(data: bytes) -> tuple[str, Callable[[io.BytesIO], ImageFile]]:
    if not data:
        raise ImageError("empty file")
    found = format_of(data)
    if found == "DICOM":
        raise ImageError("DICOM is read by the stage download alone, through the ingest decoder")
    for name, _, reader in _FORMATS:
        if name == found:
            if _ends_early(name, data):
                raise ImageError(f"truncated: the {name} ends early")
            return name, reader
    known = ", ".join(name for name, _, _ in _FORMATS)
    raise ImageError(f"not an image in a known format ({known})")


def _ends_early(name: str, data: bytes) -> bool:
    """Whether a file lacks its end in a way that Pillow forgives (PNG) or cannot name (WebP)."""
    if name == "PNG":
        return b"IEND\xaeB`\x82" not in data
    return name == "WebP" and len(data) < 8 + int.from_bytes(data[4:8], "little")


@contextmanager
def _reasons_named(name: str) -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except Exception as error:  # Pillow's readers raise almost anything on damaged bytes
        raise ImageError(_reason(name, error)) from error


def _reason(name: str, error: Exception) -> str:
    text = str(error)
    if isinstance(error, Image.DecompressionBombError):
        return f"the {name} says that its pixels exceed every limit"
    if "unknown pixel mode" in text:
        return f"the {name} has pixels of an unknown kind or range"
    cause = error.__cause__ or error
    # "cannot load": the file was over before any pixel.
    if re.search("truncated|cannot load", text, re.IGNORECASE) or isinstance(cause, _READ_PAST_THE_END):
        return f"truncated: the {name} ends early"
    return f"damaged {name}: {text or type(error).__name__}"


def _check_sides(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{width} x {height} pixels: each side must be at least {MIN_SIDE}")
    if max(width, height) > MAX_SIDE:
        raise ImageError(f"{width} x {height} pixels: each side must be at most {MAX_SIDE}")


def _has_wide_planes(image: ImageFile) -> bool:
    """Whether it is one of the TIFFs whose samples Pillow takes for bytes without a word."""
    if not isinstance(image, TiffImageFile):
        return False
    bits = image.tag_v2.get(BITSPERSAMPLE, (1,))
    return image.tag_v2.get(PLANAR_CONFIGURATION) == 2 and len(bits) > 1 and max(bits) > 8  # noqa: PLR2004


def _with_8_bits(image: ImageFile) -> Image.Image:
    if image.mode == "F" or (image.mode == "I" and not isinstance(image, PpmImageFile)):
        raise ImageError("floating-point or 32-bit pixels are of unknown range and cannot be used")
    return _grey_to_8_bits(image) if image.mode.startswith("I") else image


def _grey_to_8_bits(image: ImageFile) -> Image.Image:
    """Scale 16-bit grey, which Pillow would clip at 255."""
    samples = np.asarray(image)
    highest = 65535
    if "transparency" in image.info:
        samples = np.where(samples == image.info["transparency"], highest, samples)
    if isinstance(image, TiffImageFile):
        highest = 2 ** image.tag_v2[BITSPERSAMPLE][0] - 1
        if image.tag_v2.get(PHOTOMETRIC_INTERPRETATION, 0) == 0:  # white is zero: Pillow forgets it at 16 bits
            samples = highest - samples
    table = np.rint(np.arange(highest + 1) * (255 / highest)).astype(np.uint8)
    return Image.fromarray(table[samples])


def _opaque(image: Image.Image) -> Image.Image:
    """Make it RGB, with what is transparent laid on white; an opaque RGB image comes back itself."""
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        canvas = Image.new("RGB", layer.size, "white")
        canvas.paste(layer, mask=layer)
        return canvas
    return image if image.mode == "RGB" else image.convert("RGB")
