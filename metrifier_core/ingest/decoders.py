"""Encoded bytes -> uint8 RGB by tensorflow-io 0.37.1; its defects are corrected or refused here.

Runs in tensorflow-io's environment. Its behaviour was found by experiment (docs/ingest.md has the measurements):

- `decode_tiff` returns RGBA premultiplied by alpha, mirrors by the orientation tag but does not rotate, takes the first
  extra sample for alpha whatever it is, keeps the high byte of 16-bit grey, decodes tiles of it wrongly and drops its
  alpha (`routes` never sends these), and decodes damaged data with no more than a line on standard error.
- `decode_dicom_image` decodes all frames, rescales by slope and intercept, spreads the result over the next power of
  two, inverts MONOCHROME1, draws overlays into the pixels, never applies a window, invents what a truncated file
  lacks, and decodes big-endian samples of 32 bits wrongly.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrifier_core.ingest.greyscale import DecodingError, GreyScale

Pixels = NDArray[np.uint8]


def decode(data: bytes, request: Mapping[str, Any]) -> Pixels:
    """Decode one file.

    Args:
        data: The whole file.
        request: `format`, TIFF or DICOM; `orientation`, the EXIF orientation, 1 to 8, in the header of a TIFF;
            `max_pixels`, the limit of pixels.

    Returns:
        uint8 (height, width, 3), RGB, upright, transparency blended with white.

    Raises:
        DecodingError: The file is damaged, or of a kind that tensorflow-io decodes wrongly.
    """
    if request["format"] == "TIFF":
        return _decode_tiff(data, request["orientation"])
    return _decode_dicom(data, request["max_pixels"])


def _decode_tiff(data: bytes, orientation: int) -> Pixels:
    import tensorflow_io as tfio

    rgba = tfio.experimental.image.decode_tiff(data, index=0).numpy()
    # libtiff mirrors where it should rotate: undo that, then apply the orientation.
    stored = _make_upright(rgba, {5: 1, 6: 2, 7: 3, 8: 4}.get(orientation, orientation))
    return _blend_with_white(_make_upright(stored, orientation))


def _make_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Rotate and mirror an image by an EXIF orientation."""
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    return pixels


def _blend_with_white(rgba: Pixels) -> Pixels:
    colour, alpha = rgba[..., :3], rgba[..., 3:]
    if (alpha == 255).all():  # noqa: PLR2004
        return colour
    return np.asarray(np.minimum(colour + (255 - alpha.astype(np.uint16)), 255), np.uint8)


_TAGS = {
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
_INTEGERS = {"rows": 0, "columns": 0, "frames": 1, "bits_stored": 8}  # with the values of missing elements
_MODALITY_TABLE, _WINDOW_TABLE = 0x00283000, 0x00283010
_OVERLAY_ROWS = [0x60000010 + (group << 17) for group in range(16)]
_MAX_BITS = 16


def _decode_dicom(data: bytes, max_pixels: int) -> Pixels:
    import tensorflow as tf
    import tensorflow_io as tfio

    texts = dict(zip(_TAGS, _read_elements(data, list(_TAGS.values())), strict=True))
    rows, columns, frames, bits = (int(_first_number(texts[name], default)) for name, default in _INTEGERS.items())
    if frames * rows * columns > max_pixels:
        raise DecodingError(f"{f'{frames} frames of ' if frames > 1 else ''}{columns} x {rows} pixels exceed the limit")
    if not 1 <= bits <= _first_number(texts["bits_allocated"], 8) <= _MAX_BITS:
        raise DecodingError(f"the DICOM has {bits} bits a sample, tensorflow-io decodes 1 to {_MAX_BITS} correctly")
    if any(_read_elements(data, _OVERLAY_ROWS)):
        raise DecodingError("the DICOM has overlays, which tensorflow-io draws into the pixels")

    samples = tfio.image.decode_dicom_image(
        data, color_dim=True, on_error="strict", scale="preserve", dtype=tf.uint32
    ).numpy()
    if samples.shape[:3] != (frames, rows, columns):
        raise DecodingError("damaged DICOM: its size differs from its header's")
    first = samples[0]
    if first.shape[2] == 1:
        return np.repeat(_read_grey_scale(data, texts, bits).to_8_bits(first), 3, axis=2)
    if texts["photometric"] == "PALETTE COLOR":
        return np.asarray(first >> 8, np.uint8)  # entries have 16 bits; those of 8 bits are in the high byte
    highest = 2**bits - 1
    table = np.rint(np.arange(highest + 1) * (255 / highest)).astype(np.uint8)
    return np.asarray(table[np.minimum(first, highest)])


def _read_grey_scale(data: bytes, texts: Mapping[str, str], bits: int) -> GreyScale:
    if _has_sequence(data, _MODALITY_TABLE):
        raise DecodingError("the DICOM has a modality table, which tensorflow-io does not return")
    windowed = bool(texts["centre"] and texts["width"])
    if not windowed and _has_sequence(data, _WINDOW_TABLE):
        raise DecodingError("the DICOM has a table instead of a window, which tensorflow-io does not return")
    return GreyScale(
        bits=bits,
        signed=texts["signed"] == "1",
        inverted=texts["photometric"] == "MONOCHROME1",
        slope=_first_number(texts["slope"], 1),
        intercept=_first_number(texts["intercept"], 0),
        window=(_first_number(texts["centre"], 0), _first_number(texts["width"], 0)) if windowed else None,
        function=texts["function"] or "LINEAR",
    )


def _read_elements(data: bytes, tags: list[int]) -> list[str]:
    import tensorflow as tf
    import tensorflow_io as tfio

    values = tfio.image.decode_dicom_data(data, tf.constant(tags, tf.uint32)).numpy()
    return [value.decode(errors="replace").strip(" \0") for value in values]


def _has_sequence(data: bytes, tag: int) -> bool:
    """Return whether an element exists; for a sequence tensorflow-io raises an error."""
    import tensorflow as tf

    try:
        return bool(_read_elements(data, [tag])[0])
    except tf.errors.OpError:
        return True


def _first_number(text: str, default: float) -> float:
    """Return the first number of an element, or `default` if it is empty."""
    try:
        number = float(text.split("\\", maxsplit=1)[0]) if text else default
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DecodingError(f"the DICOM has {text[:20]!r} where a number is expected")
    return number
