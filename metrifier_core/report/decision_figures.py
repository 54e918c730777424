"""The report's figures of what a user of the score gets: errors avoided, and predictions taken at face value."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from metrifier_core.report.drawing import LIGHT, Theme, legend_above, new_figure, png_bytes, shortened, styled
from metrifier_core.statistics import CEILING, METRIFIER, Judgement, ReliabilityBin

_LABEL_GAP = 0.062  # of the axes' height, between the names of two curves


def error_against_discard(judged: Judgement, target: str, theme: Theme = LIGHT) -> bytes:
    """Draw the error rate on the rest against the share that is discarded, one line per predictor, as a PNG.

    The target is a held-out worker, or `MEAN`. The metrifier and the ceiling stand out; baselines are named at the end
    of their line.
    """
    shares = np.array(judged.discarded)
    curves = {
        name: np.array([(point.value, point.low, point.high) for point in points], np.float64).T
        for name, points in judged.discard[target].items()
    }
    figure = new_figure(4.4, theme)
    axes = styled(figure.subplots(), theme)
    baselines = {name: curve for name, curve in curves.items() if name not in {METRIFIER, CEILING}}
    for curve in baselines.values():
        axes.plot(shares, curve[0], color=theme.baseline, linewidth=1.1)
    own, ceiling = curves[METRIFIER], curves[CEILING]
    axes.axhline(own[0, 0], color=theme.muted, linestyle=":", linewidth=1.2)
    axes.plot(shares, ceiling[0], color=theme.truth, linewidth=1.8, linestyle="--")
    axes.fill_between(shares, own[1], own[2], color=theme.metrifier, alpha=0.2, linewidth=0)
    axes.plot(shares, own[0], color=theme.metrifier, linewidth=2.4)
    axes.set(xlim=(0, shares[-1]), xticks=np.linspace(0, shares[-1], 6))
    axes.set_ylim(bottom=0)
    axes.tick_params(axis="x", pad=8)  # apart from the zero of the other axis
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    axes.yaxis.set_major_formatter(lambda rate, _: f"{100 * rate:.3g} %")
    axes.set_xlabel("share of the versions discarded, the lowest scores first", color=theme.ink)
    axes.set_ylabel("error rate on the rest", color=theme.ink)
    _name_ends(axes, {name: float(curve[0, -1]) for name, curve in baselines.items()}, theme)
    keys = [
        Line2D([], [], color=theme.metrifier, linewidth=2.4, label="metrifier"),
        Line2D([], [], color=theme.truth, linewidth=1.8, linestyle="--", label="ceiling"),
        Line2D([], [], color=theme.baseline, linewidth=1.1, label="baseline"),
        Line2D([], [], color=theme.muted, linewidth=1.2, linestyle=":", label="nothing discarded"),
    ]
    legend_above(figure, keys, theme)
    return png_bytes(figure)


def reliability_diagram(bins: Sequence[ReliabilityBin], theme: Theme = LIGHT) -> bytes:
    """Draw mean quality against mean prediction in bins of the prediction, and each bin's share of the versions.

    Returns:
        A PNG: a point for each bin, its distance from the diagonal as a bar; below it the bin's share of the versions.
    """
    low, high, count, predicted, quality = np.array([[*one.model_dump().values()] for one in bins], np.float64).T
    figure = new_figure(4.6, theme)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    for axes in (above, below):
        styled(axes, theme)
    above.plot([0, 1], [0, 1], ":", color=theme.ink, label="prediction = quality")
    above.vlines(predicted, predicted, quality, color=theme.truth, alpha=0.35, linewidth=7, label="gap")
    above.plot(predicted, quality, ".-", color=theme.metrifier, markersize=8, label="mean of a bin")
    above.set(xlim=(0, 1), ylim=(0, 1))
    above.set_ylabel("quality", color=theme.ink)
    below.bar(low, count / count.sum(), width=high - low, align="edge", color=theme.metrifier, edgecolor=theme.paper)
    below.set_xlabel("predicted quality", color=theme.ink)
    below.set_ylabel("versions", color=theme.ink)
    below.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g} %")
    below.locator_params(axis="y", nbins=3)
    legend_above(figure, above.get_legend_handles_labels()[0], theme)
    return png_bytes(figure)


def _name_ends(axes: Axes, ends: Mapping[str, float], theme: Theme) -> None:
    """Write each name beside the end of its line, apart from the others."""
    defined = sorted((end, name) for name, end in ends.items() if not np.isnan(end))
    top = axes.get_ylim()[1]
    heights = _spread(np.array([end / top for end, _ in defined]))
    for (end, name), height in zip(defined, heights, strict=True):
        axes.annotate(
            shortened(name),
            xy=(1, end / top),
            xytext=(1.09, height),
            xycoords="axes fraction",
            fontsize=8,
            color=theme.muted,
            va="center",
            parse_math=False,
            arrowprops={"arrowstyle": "-", "color": theme.baseline, "linewidth": 0.7, "relpos": (0, 0.5)},
        )


def _spread(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move ascending heights in [0, 1] apart until none is closer than a line of text, and none is below the axes."""
    from sklearn.isotonic import isotonic_regression

    if not len(heights):
        return heights
    # By as little as possible: the closest ascending sequence without each line's own room.
    room = np.arange(len(heights)) * _LABEL_GAP
    return np.asarray(isotonic_regression(heights - room, y_min=_LABEL_GAP / 2) + room)
