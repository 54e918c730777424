"""Choice and drawing of the test versions that a report shows as examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from math import ceil

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from metrifier_core.images import RgbImage, decode_image
from metrifier_core.report.drawing import LIGHT, Theme, new_figure, png_bytes, shortened
from metrifier_core.report.shrinking import shrink

GROUPS = ("best", "worst", "overrated", "underrated", "spread")
"""The groups of examples, in the order of the report."""

_GROUP_SIZE, _SPREAD_SIZE = 8, 24
_THUMBNAIL = 192  # pixels of the longer side: sharp at the size that pages show


@dataclass(frozen=True)
class Example:
    """A version to show.

    Attributes:
        png: Its image as PNG bytes.
        image_id, distortion: Its source image and distortion.
        severity: 0 for the pristine version.
        predicted, quality, held_out: The metrifier's score, the true quality and the held-out workers' mean TCP.
    """

    png: bytes
    image_id: str
    distortion: str
    severity: int
    predicted: float
    quality: float
    held_out: float


def choose_examples(predictions: pa.Table) -> dict[str, NDArray[np.int64]]:
    """Choose which versions of `ReportData.predictions`, in any order, to show.

    Returns:
        For each of `GROUPS` its rows, in the order to show them: up to 8 each with the highest score, the lowest
        score, the score furthest above and furthest below their quality, of different source images; and 24 spread
        evenly from the lowest to the highest score.
    """
    names = ("predicted", "quality", "image_id", "distortion", "severity")
    predicted, quality, image_id, distortion, severity = (predictions[name].to_numpy() for name in names)
    identity = (severity, distortion.astype(str), image_id.astype(str))
    gap = predicted - quality

    def select(key: NDArray[np.float64], eligible: NDArray[np.bool_] | bool = True) -> NDArray[np.int64]:
        order = np.lexsort((*identity, key))
        order = order[np.broadcast_to(eligible, order.shape)[order]]
        _, first_rows = np.unique(image_id[order].astype(str), return_index=True)  # of every source image
        return np.asarray(order[np.sort(first_rows)][:_GROUP_SIZE], np.int64)

    spread = np.unique(np.linspace(0, len(predicted) - 1, _SPREAD_SIZE).round().astype(np.int64))
    return {
        "best": select(-predicted),
        "worst": select(predicted),
        "overrated": select(-gap, gap > 0),
        "underrated": select(gap, gap < 0),
        "spread": np.lexsort((*identity, predicted))[spread],
    }


def thumbnail(image: RgbImage) -> bytes:
    """Return a thumbnail of an image, uint8 (H, W, 3), as a PNG; a small image keeps its pixels."""
    buffer = BytesIO()
    Image.fromarray(shrink(image, _THUMBNAIL)).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def examples_sheet(examples: Sequence[Example], columns: int = 8, theme: Theme = LIGHT) -> bytes:
    """Draw examples in a grid, each above its predicted and its true quality.

    Small examples are enlarged pixel by pixel. The PNG is 230 pixels wide a column.

    Raises:
        ImageError: An example cannot be decoded.
    """
    height = ceil(len(examples) / columns)
    figure = new_figure(1.72 * height, theme, width=1.15 * columns)
    panels = figure.subplots(height, columns, squeeze=False).flatten()
    for axes in panels:
        axes.set_frame_on(False)
        axes.set(xticks=[], yticks=[], anchor="S")
    for axes, example in zip(panels, examples, strict=False):
        # "auto" keeps the pixels visible from threefold enlargement on, and smooths below.
        axes.imshow(decode_image(example.png), interpolation="auto")
        condition = f"{example.distortion} {example.severity}" if example.severity else example.distortion
        axes.set_title(shortened(condition), fontsize=8, color=theme.muted, pad=3, parse_math=False)
        axes.set_xlabel(f"predicted {example.predicted:.2f}\ntrue {example.quality:.2f}", fontsize=9, color=theme.ink)
    return png_bytes(figure)
