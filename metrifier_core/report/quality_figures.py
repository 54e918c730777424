"""The report's figures of predicted beside true quality."""

from math import ceil

import numpy as np
import pyarrow as pa
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from metrifier_core.report.drawing import LIGHT, Theme, legend_above, new_figure, png_bytes, shortened, styled


def predicted_against_true(predictions: pa.Table, theme: Theme = LIGHT, *, comparable: bool = True) -> bytes:
    """Draw the density of predictions against the true quality and against the held-out workers' probabilities.

    Args:
        predictions: A row a version, with float64 columns `predicted`, `quality` and `held_out` in [0, 1].
        theme: Its colours.
        comparable: Whether quality is on the scale of the held-out workers' probabilities.

    Returns:
        A PNG of two panels, quality on the left: hexagons coloured by their number of versions, the diagonal if both
        axes have one scale, and the mean by tenth of the prediction.
    """
    predicted = predictions["predicted"].to_numpy()
    figure = new_figure(2.9, theme)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    # The outline makes lines stand out from dense hexagons.
    outlined = [withStroke(linewidth=3.5, foreground=theme.paper)]
    hexagons = []
    for axes, (column, title, diagonal) in zip(
        panels, (("quality", "true quality", True), ("held_out", "held-out workers' mean TCP", comparable)), strict=True
    ):
        values = predictions[column].to_numpy()
        styled(axes, theme)
        hexagons.append(
            axes.hexbin(
                predicted,
                values,
                gridsize=22,
                extent=(0, 1, 0, 1),
                mincnt=1,
                norm=LogNorm(),
                cmap=LinearSegmentedColormap.from_list("density", theme.density),
                linewidths=0.2,
            )
        )
        if diagonal:
            axes.plot([0, 1], [0, 1], ":", color=theme.ink, path_effects=outlined, label="as predicted")
        centres, means = _mean_by_tenth(predicted, values)
        axes.plot(centres, means, ".-", color=theme.truth, path_effects=outlined, label="mean by tenth")
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_title(title, fontsize=10, color=theme.ink)
        axes.set_xlabel("predicted quality", color=theme.ink)
    highest = max(10, *(np.asarray(panel.get_array()).max(initial=1) for panel in hexagons))
    for panel in hexagons:
        panel.set_clim(1, highest)  # one colour scale for both, so that densities can be compared
    legend_above(figure, panels[0].get_lines(), theme)
    bar = figure.colorbar(hexagons[0], ax=panels, shrink=0.8, aspect=30, format="{x:,.0f}")
    bar.ax.minorticks_off()
    bar.ax.tick_params(colors=theme.muted, labelsize=9)
    bar.outline.set_visible(False)
    bar.set_label("versions", color=theme.ink)
    return png_bytes(figure)


def quality_by_severity(predictions: pa.Table, theme: Theme = LIGHT) -> bytes:
    """Draw mean quality and mean prediction against severity, a panel a distortion, the largest gap first.

    At least one of `ReportData.predictions` is distorted.

    Returns:
        A PNG: the label workers' quality solid, the prediction dashed, the gap between them filled. Every line starts
        at the pristine versions, if there are any.
    """
    curves = _curves(predictions)
    columns = 3
    height = ceil(len(curves) / columns)
    figure = new_figure(0.9 + 1.12 * height, theme)
    panels = figure.subplots(height, columns, sharex=True, sharey=True, squeeze=False).flatten()
    for axes, (distortion, (severity, quality, predicted)) in zip(panels, curves.items(), strict=False):
        styled(axes, theme)
        axes.fill_between(severity, quality, predicted, color=theme.truth, alpha=0.22, linewidth=0)
        axes.plot(severity, quality, "-", color=theme.truth, label="quality (label workers)")
        axes.plot(severity, predicted, "--", color=theme.metrifier, label="predicted")
        axes.set_title(shortened(distortion), fontsize=9, color=theme.ink, pad=3, parse_math=False)
    axes.set(ylim=(0, 1), yticks=[0, 0.5, 1], xticks=sorted({int(s) for c in curves.values() for s in c[0]}))
    axes.yaxis.set_major_formatter("{x:g}")
    for axes in panels[max(0, len(curves) - columns) :]:
        axes.tick_params(labelbottom=True)
    for axes in panels[len(curves) :]:
        axes.set_axis_off()
    figure.supxlabel("severity (0 is pristine)", fontsize=10, color=theme.ink)
    figure.supylabel("mean over versions", fontsize=10, color=theme.ink)
    legend_above(figure, panels[0].get_lines(), theme)
    return png_bytes(figure)


def _mean_by_tenth(
    predicted: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    tenth = np.minimum((predicted * 10).astype(np.int64), 9)
    count, total = np.bincount(tenth, minlength=10), np.bincount(tenth, weights=values, minlength=10)
    filled = count > 0
    return (np.arange(10)[filled] + 0.5) / 10, total[filled] / count[filled]


def _curves(predictions: pa.Table) -> dict[str, tuple[NDArray[np.float64], ...]]:
    """Return distortion -> (severity, mean quality, mean predicted), the largest mean gap first."""
    # Threads add in any order, which changes the last bit of a float.
    grouped = predictions.group_by(["distortion", "severity"], use_threads=False)
    means = grouped.aggregate([("quality", "mean"), ("predicted", "mean")])
    points: dict[str, list[tuple[float, float, float]]] = {}
    for row in means.to_pylist():
        point = (row["severity"], row["quality_mean"], row["predicted_mean"])
        points.setdefault(row["distortion"], []).append(point)
    pristine = points.pop("pristine", [])
    curves = {name: tuple(np.array(sorted(pristine + distorted)).T) for name, distorted in points.items()}
    return dict(sorted(curves.items(), key=lambda item: (-np.abs(item[1][1] - item[1][2]).mean(), item[0])))
