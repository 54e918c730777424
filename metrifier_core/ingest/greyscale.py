"""Conversion of a DICOM file's grey values, as tensorflow-io returns them, to 8 bits as a viewer shows them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAX_VALUE = 1e9
_MAX_TABLE = 1 << 20
_MIN_WIDTH = 512
"""With fewer grey values, tensorflow-io's rounding (up to two values) is visible in 8 bits."""


class DecodingError(ValueError):
    """An image that cannot be decoded correctly; the message is one short sentence naming the reason."""


@dataclass(frozen=True)
class GreyScale:
    """A file's attributes that define its grey values.

    Attributes:
        bits: BitsStored, from 1 to 16.
        signed: Whether PixelRepresentation is 1.
        inverted: Whether PhotometricInterpretation is MONOCHROME1, whose lowest value is white.
        slope: RescaleSlope.
        intercept: RescaleIntercept.
        window: The first WindowCenter and WindowWidth, or None.
        function: VOILUTFunction: LINEAR, LINEAR_EXACT or SIGMOID.
    """

    bits: int
    signed: bool = False
    inverted: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    window: tuple[float, float] | None = None
    function: str = "LINEAR"

    def to_8_bits(self, output: NDArray[Any]) -> NDArray[np.uint8]:
        """Convert what `tfio.image.decode_dicom_image` returns to 8-bit grey.

        The first window is applied (DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3). Without one, unsigned 8-bit values are
        kept and others are stretched from the frame's smallest to its largest, as DCMTK and most viewers do.

        Args:
            output: Integers of any shape, as `decode_dicom_image(dtype=tf.uint32, scale="preserve")` returns them.

        Returns:
            uint8 of the same shape; 0 is black.

        Raises:
            DecodingError: The attributes are invalid, or tensorflow-io rounded the values too coarsely.
        """
        self._check()
        lowest, highest = int(output.min()), int(output.max())
        if highest - lowest >= _MAX_TABLE:
            return self._convert(output)
        # A value's grey depends only on it and the extremes: a table of all values is faster.
        return np.asarray(self._convert(np.arange(lowest, highest + 1))[output - lowest])

    def _convert(self, output: NDArray[Any]) -> NDArray[np.uint8]:
        values = self._values(output)
        if self.window is not None:
            levels = self._apply_window(values, *self.window)
        elif self.bits == 8 and not self.signed and (self.slope, self.intercept) == (1, 0):  # noqa: PLR2004
            levels = values
        else:
            lowest, highest = values.min(), values.max()
            self._check_width(highest - lowest)
            levels = (values - lowest) / max(highest - lowest, 1e-9) * 255
        grey = np.rint(np.clip(levels, 0, 255)).astype(np.uint8)
        return 255 - grey if self.inverted else grey

    def _check(self) -> None:
        numbers = (self.slope, self.intercept, *(self.window or ()))
        valid = all(abs(number) <= _MAX_VALUE for number in numbers)  # False for NaN
        if not 1 <= self.bits <= 16 or self.slope == 0 or not valid:  # noqa: PLR2004
            raise DecodingError("the DICOM has invalid attributes for its grey values")
        if self.window is not None:
            min_width = 1 if self.function == "LINEAR" else 1e-9
            if self.window[1] < min_width:
                raise DecodingError(f"the DICOM has a window of width {self.window[1]:g}, expected >= {min_width:g}")
            self._check_width(self.window[1])

    def _check_width(self, width: float) -> None:
        # tensorflow-io does not round integers.
        if width < _MIN_WIDTH and (self.slope % 1 or self.intercept % 1):
            raise DecodingError("the DICOM's grey values are too fine for tensorflow-io, which rounds them")

    def _range(self) -> tuple[float, float]:
        """Return the smallest and largest rescaled value that the pixels' bits can hold."""
        lowest = -(2 ** (self.bits - 1)) if self.signed else 0
        ends = [end * self.slope + self.intercept for end in (lowest, lowest + 2**self.bits - 1)]
        return min(ends), max(ends)

    def _values(self, output: NDArray[Any]) -> NDArray[np.float64]:
        """Undo DCMTK's scaling: it maps the pixels' possible range to that of `depth` bits and inverts MONOCHROME1."""
        lowest, highest = self._range()
        depth = max((int(max(abs(lowest), abs(highest))) - 1).bit_length() + (lowest < 0), 1)
        span, levels = highest - lowest + 1, 2**depth
        if self.inverted:  # DCMTK rounds from the top
            return np.asarray(lowest + (levels - 1.0 - output) * (span / (levels - 1)))
        return np.asarray(lowest + output * (span / levels))

    def _apply_window(self, values: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
        match self.function:
            case "LINEAR":
                levels = ((values - (centre - 0.5)) / max(width - 1, 1e-9) + 0.5) * 255
                return np.where(values <= centre - width / 2, 0, levels)  # a width of 1 is a threshold
            case "LINEAR_EXACT":
                return ((values - centre) / width + 0.5) * 255
            case "SIGMOID":
                return 255 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
            case _:
                raise DecodingError(f"the DICOM has an unknown window function, {self.function[:20]!r}")
