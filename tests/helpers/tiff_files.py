"""TIFF files of 16-bit colour, and what a viewer would show of them, worked out with numpy."""

import io
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray


def every_16_bit_value() -> NDArray[np.uint16]:
    """(256, 256, 3): each channel holds every value once."""
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    return np.concatenate([values, values[::-1], values[:, ::-1]], axis=2)


def write_tiff(*pages: NDArray[Any], **options: Any) -> bytes:
    """Write the bytes of a TIFF with these pages, by a library that nothing here decodes with."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, byteorder=options.pop("byteorder", "<")) as writer:
        for page in pages:
            writer.write(page, **{"photometric": "rgb", **options})
    return stream.getvalue()


def rounded(samples: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """16 bits to 8: 65535 / 255 = 257."""
    return np.rint(samples / 257).astype(np.uint8)
