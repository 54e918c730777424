"""The handwritten digits that ship with scikit-learn: real images without a download."""

from functools import partial
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from metrifier_core.images import encode_png
from metrifier_core.sources.items import SourceItem, SourceSettings

_MAX_INK = 16.0  # the data set's scale ends at 16


class DigitsSource(SourceSettings):
    """1,797 digits of 8 x 8 pixels, enlarged so that distortions have pixels to work on; the label is the digit."""

    kind: Literal["digits"]
    side: int = Field(32, ge=8, le=512, description="pixels a side after enlarging")

    def list_images(self) -> list[SourceItem]:
        """List the digits."""
        from sklearn.datasets import load_digits

        digits, labels = load_digits(return_X_y=True)
        return [
            SourceItem(f"digit-{index:04d}", int(label), partial(_read, digit.reshape(8, 8), self.side))
            for index, (digit, label) in enumerate(zip(digits, labels, strict=True))
        ]


def _read(digit: NDArray[np.float64], side: int) -> bytes:
    enlarged: Any = cv2.resize(digit / _MAX_INK * 255, (side, side), interpolation=cv2.INTER_CUBIC)
    grey = np.rint(enlarged).clip(0, 255).astype(np.uint8)
    return encode_png(np.repeat(grey[:, :, None], 3, axis=2))
