"""Which test versions a report shows, and how."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from math import ceil

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from metrifier_core.images import RgbImage, decode_image
from metrifier_core.report.drawing import LIGHT, Theme, new_figure, png_bytes, shortened

GROUPS = ("best", "worst", "overrated", "underrated", "spread")
"""The groups of examples, in the order of the report."""

_A_GROUP, _SPREAD = 8, 24
_THUMBNAIL = 192  # pixels of the longer side: sharp at the size that pages show, and small enough for sixty of them


@dataclass(frozen=True)
class Example:
    """One version to show.

    Attributes:
        png: Its image as PNG bytes.
        image_id: Its source image.
        distortion: Its distortion.
        severity: Of that, 0 for the pristine version.
        predicted: The metrifier's score, in [0, 1].
        quality: What it should have predicted, in [0, 1].
        held_out: The held-out workers' mean TCP, in [0, 1].
    """

    png: bytes
    image_id: str
    distortion: str
    severity: int
    predicted: float
    quality: float
    held_out: float


def choose_examples(predictions: pa.Table) -> dict[str, NDArray[np.int64]]:
    """Choose which versions to show.

    Args:
        predictions: A row a version, as `ReportData.predictions`; the order of the rows does not matter.

    Returns:
        For each of `GROUPS` places in the table, in the order to show them: the 8 with the highest and the lowest
        scores, the 8 whose score is furthest above and below their quality, no source image twice in a group and
        fewer where there are fewer; and 24 evenly from the lowest to the highest score.
    """
    names = ("predicted", "quality", "image_id", "distortion", "severity")
    predicted, quality, image_id, distortion, severity = (predictions[name].to_numpy() for name in names)
    identity = (severity, distortion.astype(str), image_id.astype(str))
    gap = predicted - quality

    def first(key: NDArray[np.float64], wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
        order = np.lexsort((*identity, key))
        order = order[wanted[order]]
        # The first place of every source image, in the order of the key.
        _, places = np.unique(image_id[order].astype(str), return_index=True)
        return np.asarray(order[np.sort(places)][:_A_GROUP], np.int64)

    every = np.ones(len(predicted), bool)
    spread = np.unique(np.linspace(0, len(predicted) - 1, _SPREAD).round().astype(np.int64))
    return {
        "best": first(-predicted, every),
        "worst": first(predicted, every),
        "overrated": first(-gap, gap > 0),
        "underrated": first(gap, gap < 0),
        "spread": np.lexsort((*identity, predicted))[spread],
    }


def thumbnail(image: RgbImage) -> bytes:
    """Make a small picture of an image, uint8 (H, W, 3), as a PNG; one that is small already keeps its pixels."""
    height, width = image.shape[:2]
    scale = _THUMBNAIL / max(height, width)
    if scale < 1:
        shrunk = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.asarray(cv2.resize(image, shrunk, interpolation=cv2.INTER_AREA), np.uint8)
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def examples_sheet(examples: Sequence[Example], columns: int = 8, theme: Theme = LIGHT) -> bytes:
    """Draw examples in a grid, in the order given, with the predicted and the true quality below each.

    Args:
        examples: One or more versions, whose images may differ in size; small ones are enlarged pixel by pixel.
        columns: How many stand side by side.
        theme: Colours to draw in.

    Returns:
        A PNG, 230 pixels wide a column.

    Raises:
        ImageError: An example is no readable image.
    """
    height = ceil(len(examples) / columns)
    figure = new_figure(1.72 * height, theme, width=1.15 * columns)
    panels = figure.subplots(height, columns, squeeze=False).flatten()
    for axes in panels:
        axes.set_frame_on(False)
        axes.set(xticks=[], yticks=[], anchor="S")
    for axes, example in zip(panels, examples, strict=False):
        # "auto" shows the pixels of what is enlarged threefold or more, and smooths the rest.
        axes.imshow(decode_image(example.png), interpolation="auto")
        condition = f"{example.distortion} {example.severity}" if example.severity else example.distortion
        axes.set_title(shortened(condition), fontsize=8, color=theme.muted, pad=3, parse_math=False)
        axes.set_xlabel(f"predicted {example.predicted:.2f}\ntrue {example.quality:.2f}", fontsize=9, color=theme.ink)
    return png_bytes(figure)
