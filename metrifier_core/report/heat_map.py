"""The report's heat map of rank correlations by distortion and severity."""

from collections.abc import Sequence
from operator import attrgetter

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.patches import Rectangle

from metrifier_core.report.drawing import LIGHT, Theme, new_figure, png_bytes, shortened, styled
from metrifier_core.report.formatting import DASH, decimal
from metrifier_core.statistics import CEILING, METRIFIER, Condition, Metrics

_GAP = 0.3  # of a row's height, between groups of rows

Cells = Sequence[Condition]


def correlation_heat_map(metrics: Metrics, theme: Theme = LIGHT) -> bytes:
    """Draw the rank correlation at each distortion and severity, the metrifier's beside its ceiling.

    Returns:
        A PNG: a row for each distortion, the best ranked first, those unseen in training below the others; a column for
        each severity. Pristine versions have one cell on top. Both panels share one scale and each cell has its number,
        an en dash where it is undefined.
    """
    seen = metrics.conditions
    unseen = metrics.unseen_distortions.conditions if metrics.unseen_distortions else ()
    groups = [rows for rows in (_pristine(seen), _by_distortion(seen), _by_distortion(unseen)) if rows]
    severities = sorted({cell.severity for cell in [*seen, *unseen]} - {0}) or [0]
    values = [value for cell in [*seen, *unseen] for value in (cell.value, cell.ceiling) if value is not None]
    scale = Normalize(0, max([0.1, *values]))
    colours = ScalarMappable(scale, LinearSegmentedColormap.from_list("density", theme.density))
    figure = new_figure(1.5 + 0.235 * sum(map(len, groups)), theme)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (kind, title) in zip(panels, {"value": METRIFIER, "ceiling": CEILING}.items(), strict=True):
        styled(axes, theme).grid(visible=False)
        axes.set_title(title, fontsize=10, color=theme.ink)
        for top, _, cells in _stacked(groups):
            for cell in cells:
                left, width = (severities.index(cell.severity), 1) if cell.severity else (0, len(severities))
                _draw_cell(axes, (left, top, width), getattr(cell, kind), colours, theme)
        axes.set(xlim=(0, len(severities)), xlabel="severity")
        axes.xaxis.label.set_color(theme.ink)
        axes.set_xticks(np.arange(len(severities)) + 0.5, labels=map(str, severities))
    stacked = _stacked(groups)
    names = [shortened(name) for _, name, _ in stacked]
    panels[0].set_yticks([top + 0.5 for top, _, _ in stacked], labels=names, color=theme.ink, parse_math=False)
    panels[0].set_ylim(stacked[-1][0] + 1, 0)
    extend = "min" if min(values, default=0) < 0 else "neither"
    bar = figure.colorbar(colours, ax=panels, orientation="horizontal", aspect=50, fraction=0.04, extend=extend)
    bar.ax.tick_params(colors=theme.muted, labelsize=9, length=0)
    bar.outline.set_visible(False)
    bar.set_label("Spearman rank correlation", color=theme.ink)
    return png_bytes(figure)


def _pristine(conditions: Cells) -> list[tuple[str, Cells]]:
    return [(cell.distortion, [cell]) for cell in conditions if cell.severity == 0]


def _by_distortion(conditions: Cells) -> list[tuple[str, Cells]]:
    """Group the severities of each distortion, the one with the highest mean correlation first."""
    rows: dict[str, list[Condition]] = {}
    for cell in sorted(conditions, key=attrgetter("severity")):
        if cell.severity:
            rows.setdefault(cell.distortion, []).append(cell)

    def order(row: tuple[str, Cells]) -> tuple[float, str]:
        defined = [cell.value for cell in row[1] if cell.value is not None]
        return (-float(np.mean(defined)) if defined else 2.0, row[0])

    return sorted(rows.items(), key=order)


def _stacked(groups: Sequence[Sequence[tuple[str, Cells]]]) -> list[tuple[float, str, Cells]]:
    """Return each row with its distance from the top, with a gap between groups."""
    rows = [(index, *row) for index, group in enumerate(groups) for row in group]
    return [(place + _GAP * index, name, cells) for place, (index, name, cells) in enumerate(rows)]


def _draw_cell(
    axes: Axes, place: tuple[float, float, float], value: float | None, colours: ScalarMappable, theme: Theme
) -> None:
    left, top, width = place
    colour, ink, text = to_rgb(theme.paper), theme.muted, DASH
    if value is not None:
        red, green, blue, _ = colours.to_rgba(np.array(value))
        colour = (red, green, blue)
        ink, text = _readable_on(colour, theme), decimal(value).replace("0.", ".", 1)
    axes.add_patch(Rectangle((left, top), width, 1, facecolor=colour, edgecolor=theme.paper, linewidth=1.2))
    axes.text(left + width / 2, top + 0.52, text, ha="center", va="center", fontsize=8, color=ink)


def _readable_on(colour: tuple[float, float, float], theme: Theme) -> str:
    """Return the colour of text or of the paper, whichever has more contrast with a background (WCAG 2)."""

    def contrast(text: str) -> float:
        # Relative luminance, with a power of 2.2 for sRGB's piecewise curve.
        dark, light = sorted(np.array([colour, to_rgb(text)]) ** 2.2 @ [0.2126, 0.7152, 0.0722])
        return float((light + 0.05) / (dark + 0.05))

    return max(theme.ink, theme.paper, key=contrast)
