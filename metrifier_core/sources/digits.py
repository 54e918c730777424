"""The handwritten digits that ship inside scikit-learn: real images, no download."""

from functools import partial
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from metrifier_core.images import encode_png
from metrifier_core.sources.items import SourceItem, SourceSettings

_INK = 16.0  # the data set's own scale ends at 16


class DigitsSource(SourceSettings):
    """1,797 digits of 8 x 8 pixels, enlarged so that distortions have pixels to work on."""

    kind: Literal["digits"]
    side: int = Field(32, ge=8, le=512, description="pixels a side after enlarging")


def _read(digit: NDArray[np.float64], side: int) -> bytes:
    enlarged: Any = cv2.resize(digit / _INK * 255, (side, side), interpolation=cv2.INTER_CUBIC)
    grey = np.rint(enlarged).clip(0, 255).astype(np.uint8)
    return encode_png(np.repeat(grey[:, :, None], 3, axis=2))


def list_digits(settings: DigitsSource) -> list[SourceItem]:
    """Lists the digits; the label is the digit."""
    from sklearn.datasets import load_digits

    digits, labels = load_digits(return_X_y=True)
    return [
        SourceItem(f"digit-{index:04d}", int(label), partial(_read, digit.reshape(8, 8), settings.side))
        for index, (digit, label) in enumerate(zip(digits, labels, strict=True))
    ]
