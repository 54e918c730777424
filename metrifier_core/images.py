"""Reading, decoding, checking and encoding of images; in memory an image is uint8 (height, width, 3), RGB."""

import io
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base as Tag
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

MAX_PIXELS = 100_000_000
MIN_SIDE = 8
MAX_SIDE = 65_500  # libjpeg's limit
MAX_BYTES = 512 << 20  # of a file
_MAX_METADATA = 1 << 20  # bytes in a stored file besides its pixels
_PNG = b"\x89PNG\r\n\x1a\n"
_UNCOMPRESSED = [cv2.IMWRITE_PNG_COMPRESSION, 0, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]

RgbImage: TypeAlias = NDArray[np.uint8]


class ImageError(ValueError):
    """An image that cannot be used; the message is one short sentence naming the reason."""


# Each format's first bytes and Pillow's reader, which is called directly: `Image.open` would reach rarely used parsers,
# and its pixel limit is global to the process.
_FORMATS: dict[str, tuple[bytes, Callable[[io.BytesIO], ImageFile]]] = {
    "JPEG": (rb"\xff\xd8\xff", JpegImageFile),
    "PNG": (re.escape(_PNG), PngImageFile),
    "WebP": (rb"RIFF....WEBP", WebPImageFile),
    "GIF": (rb"GIF8[79]a", GifImageFile),
    "BMP": (rb"BM", BmpImageFile),
    "TIFF": (rb"II[*+]\0|MM\0[*+]", TiffImageFile),
    "PPM": (rb"P[1-6]\s", PpmImageFile),
    "AVIF": (rb"....ftyp(avif|avis|mif1|msf1)", AvifImageFile),
}
_DICOM = re.compile(rb".{128}DICM", re.DOTALL)

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

    The EXIF orientation is applied, transparency is blended with white, and grey, palette, CMYK and YCbCr become RGB.
    16-bit grey is rounded to 8 bits; of 16-bit colour the high byte is kept, as other readers do (of a TIFF the stage
    download rounds it, see `ingest`). The first frame or page counts. Colour profiles are ignored, as classifiers'
    input pipelines ignore them.

    Args:
        data: A whole JPEG, PNG, WebP, GIF, BMP, TIFF, PPM or AVIF file.
        max_pixels: The limit of pixels, checked in the header before any pixel is decoded.

    Returns:
        uint8 (height, width, 3), RGB, C-contiguous, writable.

    Raises:
        ImageError: The bytes are not an image, damaged, or beyond a limit.
    """
    return _decode(data, max_pixels)[0]


def decode_version(data: bytes) -> RgbImage:
    """Decode what `normalise_image`, `encode_png` or a distortion's codec made; faster than `decode_image`.

    Returns and raises the same.
    """
    # All decoders agree on the pixels of a PNG, not on those of a JPEG.
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data.startswith(_PNG) else None
    return decode_image(data) if image is None else np.asarray(image, np.uint8)


def normalise_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[bytes, int, int]:
    """Turn the bytes of an image file into bytes that every reader decodes alike.

    Takes and raises what `decode_image` does.

    Returns:
        (bytes to store, height in pixels, width in pixels). A complete 8-bit RGB JPEG, PNG or WebP of one opaque,
        upright frame that is hardly larger than its pixels keeps its bytes; everything else becomes a PNG.
    """
    image, plain = _decode(data, max_pixels)
    height, width, _ = image.shape
    keep = plain and len(data) <= image.nbytes + _MAX_METADATA
    return data if keep else encode_png(image), height, width


def read_image(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> RgbImage:
    """Read an image file with `read_bytes` and decode it with `decode_image`."""
    return decode_image(read_bytes(path), max_pixels=max_pixels)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read the bytes of an image file.

    Raises:
        ImageError: The file cannot be read, or is larger than `MAX_BYTES`.
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
    """Encode an image losslessly as an 8-bit RGB PNG; the same pixels give the same bytes.

    Args:
        image: uint8 (height, width, 3), RGB.
        deflate: False leaves the filtered pixels uncompressed, for a Parquet column, whose zstd makes them smaller
            than a fast deflate does, and several times faster (benchmarks/storage.py).
    """
    # OpenCV's defaults take half the time of an explicit zlib level 1, which searches all filters, for the same size.
    options = [] if deflate else _UNCOMPRESSED
    png: NDArray[np.uint8] = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1]
    return png.tobytes()


def check_image(image: object) -> RgbImage:
    """Return an array that a caller passes as an image.

    Raises:
        ImageError: It is not uint8 (height, width, 3) with sides from `MIN_SIDE` to `MAX_SIDE` pixels.
    """
    expected = "expected a uint8 array (height, width, 3)"
    if not isinstance(image, np.ndarray):
        raise ImageError(f"{expected}, got {type(image).__name__}")
    if image.dtype != np.uint8 or image.shape[2:] != (3,):
        message = f"{expected}, got {image.dtype} {image.shape}"
        if np.issubdtype(image.dtype, np.floating) and image.size and 0 <= image.min() <= image.max() <= 1:
            message += ": multiply by 255, round and cast to uint8"
        raise ImageError(message)
    _check_sides(image.shape[1], image.shape[0])
    return image


def check_header(image: ImageFile, max_pixels: int = MAX_PIXELS) -> None:
    """Raise if an opened image file is beyond a limit, before any pixel is decoded.

    Raises:
        ImageError: A side is not from `MIN_SIDE` to `MAX_SIDE` pixels, or the image, or a TIFF's tile (which is
            decoded whole), has more than `max_pixels`.
    """
    _check_sides(*image.size)
    _check_area("", "exceed", *image.size, max_pixels)
    if isinstance(image, TiffImageFile):
        width, height = (int(image.tag_v2.get(tag, 0)) for tag in (Tag.TileWidth, Tag.TileLength))
        _check_area("a tile of ", "exceeds", width, height, max_pixels)


def detect_format(data: bytes) -> str | None:
    """Return JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, AVIF or DICOM by how a file begins; None for anything else."""
    if _DICOM.match(data):  # checked first: the 128 bytes before may be, and often are, the header of a TIFF
        return "DICOM"
    return next((name for name, (magic, _) in _FORMATS.items() if re.match(magic, data, re.DOTALL)), None)


def read_orientation(image: ImageFile) -> int:
    """Return the EXIF orientation, from 1 to 8; 1 if there is none or it is invalid."""
    try:
        orientation = image.getexif().get(Tag.Orientation)
    except Exception:  # broken metadata does not make the pixels unusable
        return 1
    return next((valid for valid in _UPRIGHT if valid == orientation), 1)  # it may be a fraction


def _decode(data: bytes, max_pixels: int) -> tuple[RgbImage, bool]:
    """Return the pixels, and whether any RGB reader would decode the same."""
    name = _check_format(data)
    try:
        image = _FORMATS[name][1](io.BytesIO(data))
        check_header(image, max_pixels)
        if _has_wide_planes(image):
            raise ImageError("16-bit samples in a plane a colour, which Pillow decodes wrongly")
        has_8_bits = not any(";16" in str(tile.args) for tile in image.tile)  # load() empties the tiles
        image.load()

        opaque = _make_opaque_rgb(_scale_to_8_bits(image))
        transpose = _UPRIGHT.get(read_orientation(image))
        pixels = np.array(opaque if transpose is None else opaque.transpose(transpose))
        unchanged = has_8_bits and opaque is image and transpose is None
        return pixels, name in {"JPEG", "PNG", "WebP"} and unchanged and getattr(image, "n_frames", 1) == 1
    except ImageError:
        raise
    except Exception as error:  # Pillow's readers raise almost anything on damaged bytes
        raise ImageError(_describe(name, error)) from error


def _check_format(data: bytes) -> str:
    if not data:
        raise ImageError("empty file")
    name = detect_format(data)
    if name == "DICOM":
        raise ImageError("DICOM is read by the stage download only, through the ingest decoder")
    if name is None:
        raise ImageError(f"not an image in a known format ({', '.join(_FORMATS)})")
    # Pillow accepts a PNG without its end, and gives no reason for a WebP.
    no_end = name == "PNG" and b"IEND\xaeB`\x82" not in data
    if no_end or (name == "WebP" and len(data) < 8 + int.from_bytes(data[4:8], "little")):
        raise ImageError(f"truncated: the {name} ends early")
    return name


def _describe(name: str, error: Exception) -> str:
    message = str(error)
    if isinstance(error, Image.DecompressionBombError):
        return f"the {name}'s pixels exceed every limit"
    if "unknown pixel mode" in message:
        return f"the {name} has pixels of an unknown kind or range"
    ended = isinstance(error.__cause__ or error, IndexError | EOFError | struct.error)
    if ended or re.search("truncated|cannot load", message, re.IGNORECASE):
        return f"truncated: the {name} ends early"
    return f"damaged {name}: {message or type(error).__name__}"


def _check_sides(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{width} x {height} pixels: each side must be at least {MIN_SIDE}")
    if max(width, height) > MAX_SIDE:
        raise ImageError(f"{width} x {height} pixels: each side must be at most {MAX_SIDE}")


def _check_area(subject: str, verb: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError(f"{subject}{width} x {height} pixels {verb} the limit of {max_pixels / 1e6:g} megapixels")


def _has_wide_planes(image: ImageFile) -> bool:
    """Return whether it is a TIFF with separate planes of more than 8 bits, which Pillow takes for bytes."""
    if not isinstance(image, TiffImageFile):
        return False
    bits = image.tag_v2.get(Tag.BitsPerSample, (1,))
    return image.tag_v2.get(Tag.PlanarConfiguration) == 2 and len(bits) > 1 and max(bits) > 8  # noqa: PLR2004


def _scale_to_8_bits(image: ImageFile) -> Image.Image:
    """Scale 16-bit grey, which Pillow would clip at 255; other images are returned as they are."""
    if image.mode == "F" or (image.mode == "I" and not isinstance(image, PpmImageFile)):
        raise ImageError("floating-point or 32-bit pixels are of unknown range and cannot be used")
    if not image.mode.startswith("I"):
        return image
    samples = np.asarray(image)
    white = 65535
    if "transparency" in image.info:
        samples = np.where(samples == image.info["transparency"], white, samples)
    if isinstance(image, TiffImageFile):
        white = 2 ** image.tag_v2[Tag.BitsPerSample][0] - 1
        if image.tag_v2.get(Tag.PhotometricInterpretation, 0) == 0:  # white is zero: Pillow ignores it at 16 bits
            samples = white - samples
    table = np.rint(np.arange(white + 1) * (255 / white)).astype(np.uint8)
    return Image.fromarray(table[samples])


def _make_opaque_rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB with transparency blended with white; an opaque RGB image is returned itself."""
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        canvas = Image.new("RGB", layer.size, "white")
        canvas.paste(layer, mask=layer)
        return canvas
    return image if image.mode == "RGB" else image.convert("RGB")
