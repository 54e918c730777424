"""Grey values of a DICOM file as tensorflow-io hands them out, and how a viewer would show them in 8 bits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAX_VALUE = 1e9
_MAX_TABLE = 1 << 20
_NARROWEST = 512
"""Below this many grey values, the roundings of tensorflow-io (up to two values) show in 8 bits (one of 255)."""


class GreyScaleError(ValueError):
    """Grey values that cannot be shown rightly; the message is one short sentence naming the reason."""


@dataclass(frozen=True)
class GreyScale:
    """What a file's attributes say of its grey values.

    Attributes:
        bits: BitsStored, from 1 to 16.
        signed: Whether PixelRepresentation is 1.
        inverted: Whether PhotometricInterpretation is MONOCHROME1: the lowest value is white.
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
        """Turns what `tfio.image.decode_dicom_image` returns into grey of 8 bits.

        The first window counts (DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3). Without one, unsigned values of 8 bits stay as
        they are and others are stretched from the frame's smallest to its largest, as DCMTK's and most viewers do.

        Args:
            output: Integers of any shape, as `decode_dicom_image(dtype=tf.uint32, scale="preserve")` returns them.

        Returns:
            uint8 of the same shape; 0 is black.

        Raises:
            GreyScaleError: The attributes make no sense, or the values were rounded too coarsely on the way.
        """
        self._check()
        lowest, highest = int(output.min()), int(output.max())
        if highest - lowest >= _MAX_TABLE:
            return self._shown(output)
        # A value's grey depends on nothing but it and the smallest and largest: once for each is enough.
        return np.asarray(self._shown(np.arange(lowest, highest + 1))[output - lowest])

    def _shown(self, output: NDArray[Any]) -> NDArray[np.uint8]:
        values = self._values(output)
        if self.window is not None:
            shown = self._windowed(values, *self.window)
        elif self.bits == 8 and not self.signed and (self.slope, self.intercept) == (1, 0):  # noqa: PLR2004
            shown = values
        else:
            lowest, highest = values.min(), values.max()
            self._check_width(highest - lowest)
            shown = (values - lowest) / max(highest - lowest, 1e-9) * 255
        grey = np.rint(np.clip(shown, 0, 255)).astype(np.uint8)
        return 255 - grey if self.inverted else grey

    def _check(self) -> None:
        numbers = (self.slope, self.intercept, *(self.window or ()))
        sensible = all(abs(number) <= _MAX_VALUE for number in numbers)  # and so none is infinite or no number
        if not 1 <= self.bits <= 16 or self.slope == 0 or not sensible:  # noqa: PLR2004
            raise GreyScaleError("the DICOM's attributes of its grey values make no sense")
        if self.window is not None:
            if self.window[1] < (1 if self.function == "LINEAR" else 1e-9):
                raise GreyScaleError("the DICOM's window has no width")
            self._check_width(self.window[1])

    def _check_width(self, width: float) -> None:
        # Whole numbers pass through tensorflow-io as they are.
        if width < _NARROWEST and (self.slope % 1 or self.intercept % 1):
            raise GreyScaleError("the DICOM's grey values are too fine for tensorflow-io, which rounds them")

    def _range(self) -> tuple[float, float]:
        """The smallest and largest value that the pixels' bits can hold, rescaled."""
        lowest = -(2 ** (self.bits - 1)) if self.signed else 0
        ends = [end * self.slope + self.intercept for end in (lowest, lowest + 2**self.bits - 1)]
        return min(ends), max(ends)

    def _values(self, output: NDArray[Any]) -> NDArray[np.float64]:
        """Undoes DCMTK's scaling, which tensorflow-io does not mention.

        DCMTK maps the whole range that the pixels could have to that of `depth` bits, and turns MONOCHROME1 around.
        """
        lowest, highest = self._range()
        depth = max((int(max(abs(lowest), abs(highest))) - 1).bit_length() + (lowest < 0), 1)
        span, levels = highest - lowest + 1, 2**depth
        if self.inverted:  # rounded from the top
            return np.asarray(lowest + (levels - 1.0 - output) * (span / (levels - 1)))
        return np.asarray(lowest + output * (span / levels))

    def _windowed(self, values: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
        match self.function:
            case "LINEAR":
                shown = ((values - (centre - 0.5)) / max(width - 1, 1e-9) + 0.5) * 255
                return np.where(values <= centre - width / 2, 0, shown)  # a width of 1 is a threshold
            case "LINEAR_EXACT":
                return ((values - centre) / width + 0.5) * 255
            case "SIGMOID":
                return 255 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
            case _:
                raise GreyScaleError(f"the DICOM's window function {self.function[:20]!r} is unknown")
