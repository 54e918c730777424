"""A folder of awkward image files, small and always the same."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def picture(height: int = 16, width: int = 24) -> NDArray[np.uint8]:
    """Return a smooth picture that looks different however it is turned or mirrored."""
    rows, columns = np.mgrid[:height, :width]
    red = 255 * rows / height
    green = 255 * columns / width
    blue = 127 + 127 * np.sin(rows / 3 + columns / 5)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """Encode an image with Pillow."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    """EXIF that says how a viewer has to turn the image."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def make_png(width: int, height: int, colour_type: int, rows: bytes, *, depth: int = 8, extra: bytes = b"") -> bytes:
    """Return a PNG by hand: `rows` as the standard has them before compression, `extra` whole chunks."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = [make_chunk(b"IHDR", header), extra, make_chunk(b"IDAT", zlib.compress(rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + make_chunk(b"IEND", b"")


def make_chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def write_awkward_images(folder: Path) -> dict[str, str | None]:
    """Write the files; return name -> None where one must be used, or a word of the reason to refuse it."""
    pixels = picture()
    plain = Image.fromarray(pixels)
    mirrored = Image.fromarray(pixels[:, ::-1])
    grey = plain.convert("L")
    with_alpha = plain.copy()
    with_alpha.putalpha(grey)
    sixteen_bit = pixels.astype(np.uint16) * 257
    jpeg = encode(plain, "JPEG", quality=95)

    files: dict[str, tuple[bytes, str | None]] = {
        "plain.jpg": (jpeg, None),
        "plain.png": (encode(plain, "PNG"), None),
        "cmyk.jpg": (encode(plain.convert("CMYK"), "JPEG", quality=95), None),
        "turned.jpg": (encode(plain, "JPEG", quality=95, exif=turned(6)), None),
        "grey.png": (encode(grey, "PNG"), None),
        "grey_16_bit.png": (cv2.imencode(".png", sixteen_bit[..., 0])[1].tobytes(), None),
        "colour_16_bit.png": (cv2.imencode(".png", sixteen_bit[..., ::-1])[1].tobytes(), None),
        "alpha.png": (encode(with_alpha, "PNG"), None),
        "transparent_palette.png": (encode(plain.quantize(16), "PNG", transparency=3), None),
        "animated.gif": (encode(plain, "GIF", save_all=True, append_images=[mirrored]), None),
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "empty.jpg": (b"", "empty"),
        "text.png": (b"This is no image.\n", "not an image"),
        "single_pixel.png": (encode(Image.new("RGB", (1, 1)), "PNG"), "at least 8"),
        "vast.png": (make_png(30_000, 30_000, 2, bytes(100)), "exceed"),
    }
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    return {name: word for name, (_, word) in files.items()}
