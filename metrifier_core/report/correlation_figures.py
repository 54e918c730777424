"""The report's figure of rank correlations by worker and by baseline."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from metrifier_core.report.drawing import LIGHT, Theme, legend_above, new_figure, png_bytes, shortened, styled
from metrifier_core.report.formatting import DASH, LEVELS
from metrifier_core.report.ordering import best_first, mean_first


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


def _column(rows: Sequence[Mapping[str, Any]], level: str, key: str) -> NDArray[np.float64]:
    return np.array([row[level].get(key) for row in rows], dtype=np.float64)
