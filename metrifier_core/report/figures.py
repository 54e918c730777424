"""The report's figures: one function each, from tables to the bytes of a PNG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from metrifier_core.images import decode_image
from metrifier_core.report.drawing import LIGHT, Theme, legend_above, new_figure, png_bytes, shortened, styled

__all__ = [
    "AREAS",
    "DASH",
    "LEVELS",
    "Example",
    "best_first",
    "correlation_bars",
    "examples_sheet",
    "mean_first",
    "predicted_against_true",
    "quality_by_severity",
    "training_curves",
]

LEVELS = {"global": "Global", "within_image": "Within image", "within_condition": "Within condition"}
AREAS = {"auroc": "AUROC", "augrc": "AUGRC"}
DASH = "\N{EN DASH}"  # stands for what is undefined


@dataclass(frozen=True)
class Example:
    """One version to show: its image as PNG bytes, and what was predicted and measured.

    `predicted` and `quality` are in [0, 1]; `severity` is 0 for the pristine version.
    """

    png: bytes
    predicted: float
    quality: float
    distortion: str
    severity: int


def mean_first(workers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the workers' results with those of their `mean` before the others."""
    return dict(sorted(workers.items(), key=lambda item: item[0] != "mean"))


def best_first(baselines: Mapping[str, Any], target: str) -> dict[str, Any]:
    """Return the baselines' results on one target by falling global correlation, the undefined last."""
    of_target = {name: by_target[target] for name, by_target in baselines.items()}
    return dict(sorted(of_target.items(), key=lambda item: (-_number(item[1]["global"]["rho"], -2), item[0])))


def predicted_against_true(predictions: pa.Table, theme: Theme = LIGHT) -> bytes:
    """Draw how densely predictions fall against what the held-out workers made of the same versions.

    Args:
        predictions: a row a version, with float64 columns `predicted` and `held_out` in [0, 1].
        theme: colours to draw in.

    Returns:
        A PNG: hexagons coloured by their number of versions, the diagonal, and the mean truth by tenth
        of the prediction.
    """
    predicted, held_out = (predictions[name].to_numpy() for name in ("predicted", "held_out"))
    figure = new_figure(4.6, theme)
    axes = styled(figure.subplots(), theme)
    hexagons = axes.hexbin(
        predicted,
        held_out,
        gridsize=30,
        extent=(0, 1, 0, 1),
        mincnt=1,
        norm=LogNorm(),
        cmap=LinearSegmentedColormap.from_list("density", theme.density),
        linewidths=0.2,
    )
    hexagons.set_clim(1, max(10, np.asarray(hexagons.get_array()).max(initial=1)))
    # Outlined in the colour of the paper, the lines stand out from dense hexagons too.
    outlined = [withStroke(linewidth=3.5, foreground=theme.paper)]
    axes.plot([0, 1], [0, 1], ":", color=theme.ink, path_effects=outlined, label="prediction = truth")
    centres, means = _mean_by_tenth(predicted, held_out)
    axes.plot(centres, means, ".-", color=theme.truth, path_effects=outlined, label="mean truth")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("predicted quality", color=theme.ink)
    axes.set_ylabel("mean TCP of the held-out workers", color=theme.ink)
    legend_above(figure, axes.get_lines(), theme)
    bar = figure.colorbar(hexagons, ax=axes, shrink=0.8, aspect=30, format="{x:,.0f}")
    bar.ax.minorticks_off()
    bar.ax.tick_params(colors=theme.muted, labelsize=9)
    bar.outline.set_visible(False)
    bar.set_label("versions", color=theme.ink)
    return png_bytes(figure)


def correlation_bars(metrics: Mapping[str, Any], theme: Theme = LIGHT) -> bytes:
    """Draw the rank correlations of the metrifier and of the baselines, a panel a level.

    Args:
        metrics: as `ReportData.metrics`; of the baselines the correlations with the first target are drawn.
        theme: colours to draw in.

    Returns:
        A PNG: a bar a worker and a baseline, its 95 % interval as a line, the worker's ceiling as a tick;
        what is undefined has an en dash.
    """
    workers = mean_first(metrics["workers"])
    baselines = best_first(metrics["baselines"], next(iter(workers)))
    rows = [*workers.values(), *baselines.values()]
    positions = np.concatenate([np.arange(len(workers)), len(workers) + 0.5 + np.arange(len(baselines))])
    colours = [theme.metrifier] * len(workers) + [theme.baseline] * len(baselines)
    figure = new_figure(1.2 + 0.27 * len(rows), theme)
    panels = figure.subplots(1, len(LEVELS), sharex=True, sharey=True)
    lowest = 0.0
    for axes, (level, title) in zip(panels, LEVELS.items(), strict=True):
        styled(axes, theme).grid(axis="y", visible=False)
        rho, low, high, ceiling = (_column(rows, level, key) for key in ("rho", "low", "high", "ceiling"))
        axes.barh(positions, rho, color=colours, height=0.72)
        axes.hlines(positions, low, high, color=theme.ink, linewidth=1.3)
        axes.vlines(ceiling, positions - 0.42, positions + 0.42, color=theme.truth, linewidth=2.2)
        for position in positions[np.isnan(rho)]:
            axes.text(0.03, position, DASH, color=theme.muted, va="center")
        axes.axvline(0, color=theme.muted, linewidth=0.8)
        axes.set_title(title, fontsize=10, color=theme.ink)
        lowest = np.nanmin([lowest, *rho, *low])
    axes.set(xlim=(lowest * 1.05, 1), xticks=[0, 0.5, 1], ylim=(positions[-1] + 0.6, -0.6))
    axes.xaxis.set_major_formatter("{x:g}")
    names = [shortened(name) for name in (*workers, *baselines)]
    panels[0].set_yticks(positions, labels=names, color=theme.ink, parse_math=False)
    figure.supxlabel("Spearman's rank correlation", fontsize=10, color=theme.ink)
    keys = [
        Patch(color=theme.metrifier, label="metrifier"),
        Patch(color=theme.baseline, label="baseline"),
        Line2D([], [], color=theme.ink, linewidth=1.3, label="95 % interval"),
        Line2D([], [], color=theme.truth, marker="|", linestyle="", markersize=9, mew=2.2, label="ceiling"),
    ]
    legend_above(figure, keys, theme)
    return png_bytes(figure)


def quality_by_severity(predictions: pa.Table, theme: Theme = LIGHT) -> bytes:
    """Draw mean quality and mean prediction against severity, a panel a distortion, the largest gap first.

    Args:
        predictions: a row a version, with columns `distortion` (string), `severity` (int32, 0 is pristine),
            `predicted` and `quality` (float64 in [0, 1]). At least one version is distorted.
        theme: colours to draw in.

    Returns:
        A PNG: the label workers' quality solid, the prediction dashed, the gap between them filled. Every
        line starts at the pristine versions, where there are any.
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


def training_curves(training: Sequence[Mapping[str, float]], theme: Theme = LIGHT) -> bytes:
    """Draw the losses and the validation's Spearman correlation against the epoch.

    Args:
        training: a mapping an epoch, with `epoch`, `loss`, `validation_loss` and `validation_spearman`.
        theme: colours to draw in.

    Returns:
        A PNG with the losses above and the correlation below, its highest value marked.
    """
    epoch, loss, validation_loss, spearman = (
        np.array([row[key] for row in training], dtype=np.float64)
        for key in ("epoch", "loss", "validation_loss", "validation_spearman")
    )
    figure = new_figure(4.2, theme)
    above, below = figure.subplots(2, 1, sharex=True)
    for axes, label in ((above, "loss"), (below, "Spearman")):
        styled(axes, theme).set_ylabel(label, color=theme.ink)
    above.plot(epoch, loss, color=theme.metrifier, marker=".", label="training")
    above.plot(epoch, validation_loss, color=theme.truth, marker=".", linestyle="--", label="validation")
    legend_above(figure, above.get_lines(), theme)
    below.plot(epoch, spearman, color=theme.truth, marker=".", linestyle="--")
    if not np.isnan(spearman).all():
        best = int(np.nanargmax(spearman))
        below.plot(epoch[best], spearman[best], color=theme.ink, marker="o", fillstyle="none", markersize=9)
        below.set_title(
            f"best validation: {spearman[best]:.3f} at epoch {epoch[best]:g}", fontsize=9, color=theme.muted
        )
    below.xaxis.get_major_locator().set_params(integer=True)
    below.set_xlabel("epoch", color=theme.ink)
    return png_bytes(figure)


def examples_sheet(examples: Sequence[Example], columns: int = 8, theme: Theme = LIGHT) -> bytes:
    """Draw examples in a grid, in the order given, with the predicted and the true quality below each.

    Args:
        examples: one or more versions, whose images may differ in size; small ones are enlarged pixel by
            pixel.
        columns: how many stand side by side.
        theme: colours to draw in.

    Returns:
        A PNG, 230 pixels wide a column.

    Raises:
        ImageError: an example is no readable image.
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


def _number(value: float | None, otherwise: float = np.nan) -> float:
    return otherwise if value is None else value


def _column(rows: Sequence[Mapping[str, Any]], level: str, key: str) -> NDArray[np.float64]:
    return np.array([_number(row[level].get(key)) for row in rows], dtype=np.float64)


def _mean_by_tenth(
    predicted: NDArray[np.float64], truth: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    tenth = np.minimum((predicted * 10).astype(np.int64), 9)
    count, total = np.bincount(tenth, minlength=10), np.bincount(tenth, weights=truth, minlength=10)
    filled = count > 0
    return (np.arange(10)[filled] + 0.5) / 10, total[filled] / count[filled]


def _curves(predictions: pa.Table) -> dict[str, tuple[NDArray[np.float64], ...]]:
    """Return distortion -> (severity, mean quality, mean predicted), the largest mean gap first."""
    # Threads would add up in any order, and floats would differ in their last bit.
    grouped = predictions.group_by(["distortion", "severity"], use_threads=False)
    means = grouped.aggregate([("quality", "mean"), ("predicted", "mean")])
    points: dict[str, list[tuple[float, float, float]]] = {}
    for row in means.to_pylist():
        point = (row["severity"], row["quality_mean"], row["predicted_mean"])
        points.setdefault(row["distortion"], []).append(point)
    pristine = points.pop("pristine", [])
    curves = {name: tuple(np.array(sorted(pristine + own)).T) for name, own in points.items()}
    return dict(sorted(curves.items(), key=lambda item: (-np.abs(item[1][1] - item[1][2]).mean(), item[0])))
