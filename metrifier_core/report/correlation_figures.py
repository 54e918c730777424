"""The report's figure of rank correlations by worker and by baseline."""

from collections.abc import Sequence

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from metrifier_core.report.drawing import LIGHT, Theme, legend_above, new_figure, png_bytes, shortened, styled
from metrifier_core.report.formatting import DASH, sentence_case
from metrifier_core.report.ordering import best_first, judged_metrics, mean_first
from metrifier_core.statistics import Figures, Judgement


def correlation_bars(judged: Judgement, theme: Theme = LIGHT) -> bytes:
    """Draw the rank correlations of the metrifier and of the baselines, one panel per metric.

    Returns:
        A PNG: a bar for each worker and, for the first target, each baseline, its 95 % interval as a line, the worker's
        ceiling as a tick; an en dash stands for an undefined value.
    """
    workers = mean_first(judged.workers)
    baselines = best_first(judged.baselines, next(iter(workers)))
    rows = [*workers.values(), *baselines.values()]
    metrics = [metric for metric in judged_metrics(rows[0]) if metric.is_correlation]
    positions = np.concatenate([np.arange(len(workers)), len(workers) + 0.5 + np.arange(len(baselines))])
    colours = [theme.metrifier] * len(workers) + [theme.baseline] * len(baselines)
    figure = new_figure(1.2 + 0.27 * len(rows), theme)
    panels = figure.subplots(1, len(metrics), sharex=True, sharey=True, squeeze=False)[0]
    lowest = 0.0
    for axes, metric in zip(panels, metrics, strict=True):
        styled(axes, theme).grid(axis="y", visible=False)
        value, low, high, ceiling = (_column(rows, metric.name, field) for field in ("value", "low", "high", "ceiling"))
        axes.barh(positions, value, color=colours, height=0.72)
        axes.hlines(positions, low, high, color=theme.ink, linewidth=1.3)
        axes.vlines(ceiling, positions - 0.42, positions + 0.42, color=theme.truth, linewidth=2.2)
        for position in positions[np.isnan(value)]:
            axes.text(0.03, position, DASH, color=theme.muted, va="center")
        axes.axvline(0, color=theme.muted, linewidth=0.8)
        axes.set_title(sentence_case(metric.heading), fontsize=10, color=theme.ink)
        lowest = np.nanmin([lowest, *value, *low])
    panels[0].set(xlim=(lowest * 1.05, 1), xticks=[0, 0.5, 1], ylim=(positions[-1] + 0.6, -0.6))
    panels[0].xaxis.set_major_formatter("{x:g}")
    names = [shortened(name) for name in (*workers, *baselines)]
    panels[0].set_yticks(positions, labels=names, color=theme.ink, parse_math=False)
    figure.supxlabel("rank correlation", fontsize=10, color=theme.ink)
    keys = [
        Patch(color=theme.metrifier, label="metrifier"),
        Patch(color=theme.baseline, label="baseline"),
        Line2D([], [], color=theme.ink, linewidth=1.3, label="95 % interval"),
        Line2D([], [], color=theme.truth, marker="|", linestyle="", markersize=9, mew=2.2, label="ceiling"),
    ]
    legend_above(figure, keys, theme)
    return png_bytes(figure)


def _column(rows: Sequence[Figures], metric: str, field: str) -> NDArray[np.float64]:
    return np.array([getattr(figures[metric], field) for figures in rows], dtype=np.float64)
