"""A picture of an explanation: the image, the quality of its parts, and what its score rests on."""

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from metrifier_core.images import RgbImage
from metrifier_core.report.drawing import LIGHT, png_bytes, shortened
from metrifier_core.scoring.explanation import Explanation

_PANEL = 3.2  # inches of the longer side of the image
_NARROWEST = 2.6  # inches: the legends need them
_LEGENDS = 1.2  # inches below and above the panels
_SHOWN = 800  # pixels of the longer side of the image, at most
_MIN_QUALITY_SPAN, _MIN_OCCLUSION = 0.2, 0.01  # of the scales: colours would exaggerate less
_MAX_TITLE = 50


def draw_explanation(image: RgbImage, explanation: Explanation, title: str) -> bytes:
    """Draws an image beside its two maps, each with its numbers and its legend.

    Every colour vision can tell the colours apart: cividis (Nunez, Anderton and Renslow 2018) for quality, over the
    range of the image's own parts, and ColorBrewer's PuOr about 0 for occlusion.

    Args:
        image: (H, W, 3) uint8 RGB.
        explanation: What `Metrifier.explain` made of it.
        title: Such as the file's name.

    Returns:
        A PNG.
    """
    height, width = (_PANEL * side / max(image.shape[:2]) for side in image.shape[:2])
    size = 3 * max(_NARROWEST, width), height + _LEGENDS
    figure = Figure(figsize=size, dpi=150, layout="constrained", facecolor=LIGHT.paper)
    heading = f"{shortened(title, _MAX_TITLE)}: quality {explanation.quality:.2f}"
    figure.suptitle(heading, color=LIGHT.ink, fontsize=11, parse_math=False)
    (photo, parts, occlusion), (_, parts_legend, occlusion_legend) = figure.subplots(2, 3, height_ratios=[height, 0.12])
    for axes in figure.axes:
        axes.set_axis_off()
    photo.imshow(_shrunk(image), extent=_extent(image), aspect="equal")

    shown = parts.imshow(explanation.parts, "cividis", _quality_scale(explanation.parts), extent=_extent(image))
    _write_numbers(parts, shown, image, explanation.parts, 2)
    _explain_colours(parts_legend, shown, "quality of each part alone")

    span = max(_MIN_OCCLUSION, float(np.abs(explanation.occlusion).max()))
    shown = occlusion.imshow(explanation.occlusion, "PuOr", Normalize(-span, span), extent=_extent(image))
    _write_numbers(occlusion, shown, image, explanation.occlusion, 3)
    _explain_colours(occlusion_legend, shown, "quality lost without the part")
    return png_bytes(figure)


def _shrunk(image: RgbImage) -> RgbImage:
    scale = min(1.0, _SHOWN / max(image.shape[:2]))
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _extent(image: RgbImage) -> tuple[float, float, float, float]:
    """Gives the image and its maps the same coordinates: the image's pixels."""
    return 0, image.shape[1], image.shape[0], 0


def _quality_scale(parts: NDArray[np.float32]) -> Normalize:
    """Spans the qualities of the parts, and not less than a little."""
    low, high = float(parts.min()), float(parts.max())
    missing = max(0.0, _MIN_QUALITY_SPAN - (high - low)) / 2
    low = min(max(0.0, low - missing), 1 - _MIN_QUALITY_SPAN)
    return Normalize(low, max(high + missing, low + _MIN_QUALITY_SPAN))


def _write_numbers(
    axes: Axes, shown: ScalarMappable, image: RgbImage, values: NDArray[np.float32], decimals: int
) -> None:
    """Writes each part's value on it, in black or white, whichever stands out."""
    rows, columns = values.shape
    for (row, column), value in np.ndenumerate(np.round(values, decimals) + 0.0):
        red, green, blue, _ = shown.to_rgba(value)
        luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # ITU-R BT.709
        axes.text(
            image.shape[1] * (column + 0.5) / columns,
            image.shape[0] * (row + 0.5) / rows,
            f"{value:.{decimals}f}".replace("0.", ".", 1),
            color="black" if luma > 0.5 else "white",  # noqa: PLR2004
            horizontalalignment="center",
            verticalalignment="center",
            fontsize=6,
        )


def _explain_colours(axes: Axes, shown: ScalarMappable, meaning: str) -> None:
    axes.set_axis_on()
    bar = axes.figure.colorbar(shown, cax=axes, orientation="horizontal")
    bar.set_label(meaning, color=LIGHT.ink, fontsize=9)
    bar.ax.locator_params(nbins=5)
    bar.ax.tick_params(colors=LIGHT.muted, labelsize=8)
    bar.outline.set_visible(False)
