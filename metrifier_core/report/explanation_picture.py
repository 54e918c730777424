"""The picture of an explanation: the image, the quality of its parts, and what its score depends on."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from metrifier_core.images import RgbImage
from metrifier_core.report.drawing import LIGHT, png_bytes, shortened
from metrifier_core.report.shrinking import shrink
from metrifier_core.scoring.explanation import Explanation

_PANEL = 3.2  # inches of the longer side of the image
_MIN_PANEL = 2.6  # inches that the legends need
_LEGENDS = 1.2  # inches below and above the panels
_MAX_IMAGE = 800  # pixels of the longer side of the image
_MIN_QUALITY_SPAN, _MIN_OCCLUSION = 0.2, 0.01  # of the colour scales, which would exaggerate smaller differences
_MAX_TITLE = 50


def draw_explanation(image: RgbImage, explanation: Explanation, title: str) -> bytes:
    """Draw an image beside the two maps of its explanation, each with its numbers and its legend, as a PNG.

    The colours are colour-blind safe: cividis (Nunez, Anderton and Renslow 2018) over the range of the parts' quality,
    and ColorBrewer's PuOr centred on 0 for occlusion.
    """
    height, width = (_PANEL * side / max(image.shape[:2]) for side in image.shape[:2])
    size = 3 * max(_MIN_PANEL, width), height + _LEGENDS
    figure = Figure(figsize=size, dpi=150, layout="constrained", facecolor=LIGHT.paper)
    heading = f"{shortened(title, _MAX_TITLE)}: quality {explanation.quality:.2f}"
    figure.suptitle(heading, color=LIGHT.ink, fontsize=11, parse_math=False)
    (photo, parts, occlusion), (_, parts_legend, occlusion_legend) = figure.subplots(2, 3, height_ratios=[height, 0.12])
    for axes in figure.axes:
        axes.set_axis_off()
    # The image and its maps share their coordinates: the image's pixels.
    extent = 0, image.shape[1], image.shape[0], 0
    photo.imshow(shrink(image, _MAX_IMAGE), extent=extent, aspect="equal")

    drawn = parts.imshow(explanation.parts, "cividis", _quality_scale(explanation.parts), extent=extent)
    _write_numbers(parts, drawn, explanation.parts, 2)
    _add_legend(parts_legend, drawn, "quality of each part alone")

    span = max(_MIN_OCCLUSION, float(np.abs(explanation.occlusion).max()))
    drawn = occlusion.imshow(explanation.occlusion, "PuOr", Normalize(-span, span), extent=extent)
    _write_numbers(occlusion, drawn, explanation.occlusion, 3)
    _add_legend(occlusion_legend, drawn, "quality lost without the part")
    return png_bytes(figure)


def _quality_scale(parts: NDArray[np.float32]) -> Normalize:
    """Span the qualities of the parts, at least by `_MIN_QUALITY_SPAN`."""
    low, high = float(parts.min()), float(parts.max())
    missing = max(0.0, _MIN_QUALITY_SPAN - (high - low)) / 2
    low = min(max(0.0, low - missing), 1 - _MIN_QUALITY_SPAN)
    return Normalize(low, max(high + missing, low + _MIN_QUALITY_SPAN))


def _write_numbers(axes: Axes, drawn: AxesImage, values: NDArray[np.float32], decimals: int) -> None:
    """Write each part's value on it, in black or white, whichever has more contrast."""
    _, right, bottom, _ = drawn.get_extent()
    rows, columns = values.shape
    for (row, column), value in np.ndenumerate(np.round(values, decimals) + 0.0):
        red, green, blue, _ = drawn.to_rgba(value)
        luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # ITU-R BT.709
        axes.text(
            right * (column + 0.5) / columns,
            bottom * (row + 0.5) / rows,
            f"{value:.{decimals}f}".replace("0.", ".", 1),
            color="black" if luma > 0.5 else "white",  # noqa: PLR2004
            ha="center",
            va="center",
            fontsize=6,
        )


def _add_legend(axes: Axes, drawn: AxesImage, meaning: str) -> None:
    axes.set_axis_on()
    bar = axes.figure.colorbar(drawn, cax=axes, orientation="horizontal")
    bar.set_label(meaning, color=LIGHT.ink, fontsize=9)
    bar.ax.locator_params(nbins=5)
    bar.ax.tick_params(colors=LIGHT.muted, labelsize=8)
    bar.outline.set_visible(False)
