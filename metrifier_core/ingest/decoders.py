"""Encoded bytes -> uint8 RGB with tensorflow-io 0.37.1, whose traps are worked around or refused here.

Runs in the environment of its own. What `tfio` does, found by experiment (docs/ingest.md has the measurements):

- `decode_tiff` gives RGBA multiplied by alpha, mirrors by the orientation tag but does not turn, takes the first extra
  sample for alpha whatever it is, keeps the high byte of 16-bit grey, gets tiles of it wrong and loses its alpha
  (`routes` never sends these), and goes on over damaged data with no more than a line on standard error.
- `decode_webp` gives RGBA not multiplied, and sees neither EXIF nor animations.
- `decode_avif` sees neither alpha nor orientation.
- `decode_dicom_image` decodes all frames, rescales by slope and intercept, spreads the result over the next power of
  two, turns MONOCHROME1 around, draws overlays into the pixels, never applies a window, makes up what a truncated file
  lacks, and gets big-endian samples of 32 bits wrong.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrifier_core.ingest.greyscale import GreyScale

Pixels = NDArray[np.uint8]


class DecodingError(ValueError):
    """An image that cannot be decoded rightly; the message is one short sentence naming the reason."""


def decode(data: bytes, request: Mapping[str, Any]) -> Pixels:
    """Decodes one file.

    Args:
        data: The whole file.
        request: `format`, a key of `DECODERS`; `orientation`, EXIF's number from 1 to 8 in the header of a TIFF (a
            JPEG's is read here); `max_pixels`, the most that are decoded.

    Returns:
        uint8 (height, width, 3), RGB, upright, transparency laid on white.

    Raises:
        DecodingError: The file is damaged, or of a kind that tensorflow-io gets wrong.
    """
    return DECODERS[request["format"]](data, request)


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turns and mirrors an image as EXIF's orientation (1 to 8) asks; others leave it as it is."""
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    return pixels


def _decode_tiff(data: bytes, request: Mapping[str, Any]) -> Pixels:
    import tensorflow_io as tfio

    rgba = tfio.experimental.image.decode_tiff(data, index=0).numpy()
    orientation = request["orientation"]
    # libtiff has mirrored what should be turned: back to the pixels as they are stored, and then upright.
    stored = upright(rgba, {5: 1, 6: 2, 7: 3, 8: 4}.get(orientation, orientation))
    return _on_white(upright(stored, orientation), multiplied=True)


def _decode_avif(data: bytes, request: Mapping[str, Any]) -> Pixels:  # noqa: ARG001
    import tensorflow_io as tfio

    # The properties stand in the file's first boxes: turned, mirrored, with an auxiliary image (alpha).
    if re.search(rb"irot|imir|auxC", data[:4096]):
        raise DecodingError("the AVIF is turned, mirrored or transparent, which tensorflow-io does not see")
    pixels: Pixels = tfio.experimental.image.decode_avif(data).numpy()
    return pixels


def _decode_webp(data: bytes, request: Mapping[str, Any]) -> Pixels:  # noqa: ARG001
    import tensorflow_io as tfio

    flags = data[20] if data[12:16] == b"VP8X" else 0
    if flags & 0x0A:  # of the extended format: 8 is EXIF, 2 is animation
        raise DecodingError("the WebP has EXIF or is animated, which tensorflow-io does not see")
    return _on_white(tfio.image.decode_webp(data).numpy(), multiplied=False)


def _decode_jpeg(data: bytes, request: Mapping[str, Any]) -> Pixels:  # noqa: ARG001
    import tensorflow as tf
    import tensorflow_io as tfio

    # TensorFlow's default is a faster transform, which differs from other decoders by up to 16 levels.
    pixels = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE").numpy()
    return upright(pixels, int(tfio.experimental.image.decode_jpeg_exif(data)))


_DICOM_TEXTS = {
    "rows": 0x00280010,
    "columns": 0x00280011,
    "frames": 0x00280008,
    "photometric": 0x00280004,
    "bits_allocated": 0x00280100,
    "bits_stored": 0x00280101,
    "signed": 0x00280103,
    "centre": 0x00281050,
    "width": 0x00281051,
    "intercept": 0x00281052,
    "slope": 0x00281053,
    "function": 0x00281056,
}
_DICOM_WHOLE_NUMBERS = {"rows": 0, "columns": 0, "frames": 1, "bits_stored": 8}  # what is not there
_MODALITY_TABLE, _WINDOW_TABLE = 0x00283000, 0x00283010
_OVERLAY_ROWS = [0x60000010 + (group << 17) for group in range(16)]
_MAX_BITS = 16


def _decode_dicom(data: bytes, request: Mapping[str, Any]) -> Pixels:
    import tensorflow as tf
    import tensorflow_io as tfio

    texts = dict(zip(_DICOM_TEXTS, _dicom_texts(data, list(_DICOM_TEXTS.values())), strict=True))
    rows, columns, frames, bits = (
        int(_first_number(texts[name], default)) for name, default in _DICOM_WHOLE_NUMBERS.items()
    )
    if frames * rows * columns > request["max_pixels"]:
        raise DecodingError(f"{f'{frames} frames of ' if frames > 1 else ''}{columns} x {rows} pixels exceed the limit")
    if not 1 <= bits <= _first_number(texts["bits_allocated"], 8) <= _MAX_BITS:
        raise DecodingError(f"the DICOM has {bits} bits a sample, of which tensorflow-io reads 1 to 16 rightly")
    if any(_dicom_texts(data, _OVERLAY_ROWS)):
        raise DecodingError("the DICOM has overlays, which tensorflow-io draws into the pixels")

    samples = tfio.image.decode_dicom_image(
        data, color_dim=True, on_error="strict", scale="preserve", dtype=tf.uint32
    ).numpy()
    if samples.shape[:3] != (frames, rows, columns):
        raise DecodingError("damaged DICOM: its size is not what its header says")
    first = samples[0]
    if first.shape[2] == 1:
        scale = _grey_scale(data, texts, bits)
        return np.repeat(scale.to_8_bits(first), 3, axis=2)
    if texts["photometric"] == "PALETTE COLOR":
        return np.asarray(first >> 8, np.uint8)  # entries have 16 bits, those that were 8 in their high byte
    highest = 2**bits - 1
    table = np.rint(np.arange(highest + 1) * (255 / highest)).astype(np.uint8)
    return np.asarray(table[np.minimum(first, highest)])


def _grey_scale(data: bytes, texts: Mapping[str, str], bits: int) -> GreyScale:
    if _has_sequence(data, _MODALITY_TABLE):
        raise DecodingError("the DICOM has a modality table, which tensorflow-io does not give away")
    windowed = bool(texts["centre"] and texts["width"])
    if not windowed and _has_sequence(data, _WINDOW_TABLE):
        raise DecodingError("the DICOM has a table instead of a window, which tensorflow-io does not give away")
    return GreyScale(
        bits=bits,
        signed=texts["signed"] == "1",
        inverted=texts["photometric"] == "MONOCHROME1",
        slope=_first_number(texts["slope"], 1),
        intercept=_first_number(texts["intercept"], 0),
        window=(_first_number(texts["centre"], 0), _first_number(texts["width"], 0)) if windowed else None,
        function=texts["function"] or "LINEAR",
    )


def _dicom_texts(data: bytes, tags: list[int]) -> list[str]:
    import tensorflow as tf
    import tensorflow_io as tfio

    values = tfio.image.decode_dicom_data(data, tf.constant(tags, tf.uint32)).numpy()
    return [value.decode(errors="replace").strip(" \0") for value in values]


def _has_sequence(data: bytes, tag: int) -> bool:
    """Whether an element is there; of a sequence tensorflow-io says so by failing."""
    import tensorflow as tf

    try:
        return bool(_dicom_texts(data, [tag])[0])
    except tf.errors.OpError:
        return True


def _first_number(text: str, default: float) -> float:
    """The first of the numbers that an element holds."""
    try:
        number = float(text.split("\\", maxsplit=1)[0]) if text else default
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DecodingError("the DICOM has words where numbers should be")
    return number


def _on_white(rgba: Pixels, *, multiplied: bool) -> Pixels:
    colour, alpha = rgba[..., :3], rgba[..., 3:]
    if (alpha == 255).all():  # noqa: PLR2004
        return colour
    layer = colour.astype(np.uint16) if multiplied else (colour.astype(np.uint16) * alpha + 127) // 255
    return np.asarray(np.minimum(layer + (255 - alpha), 255), np.uint8)


DECODERS: dict[str, Callable[[bytes, Mapping[str, Any]], Pixels]] = {
    "TIFF": _decode_tiff,
    "DICOM": _decode_dicom,
    "AVIF": _decode_avif,
    "WebP": _decode_webp,
    "JPEG": _decode_jpeg,
}
