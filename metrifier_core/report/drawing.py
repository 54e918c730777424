"""Colours, size, style and file format of all figures of the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 5.2  # inches; ten-point text stays readable on a phone
DOTS_PER_INCH = 200


@dataclass(frozen=True)
class Theme:
    """Colours of a page and its figures, as CSS hexadecimal strings.

    `metrifier` and `truth` are from the colour-blind safe palette of Okabe and Ito (2008, "Color Universal Design");
    `density` runs from few to many.
    """

    paper: str
    ink: str
    muted: str
    line: str
    metrifier: str
    truth: str
    baseline: str
    density: tuple[str, str]


LIGHT = Theme(
    paper="#ffffff",
    ink="#1b1f23",
    muted="#57606a",
    line="#d8dee4",
    metrifier="#0072b2",
    truth="#d55e00",
    baseline="#9aa3ad",
    density=("#cfe3f2", "#062f58"),
)
DARK = Theme(
    paper="#15191d",
    ink="#e8eaed",
    muted="#a3adb8",
    line="#353c44",
    metrifier="#56b4e9",
    truth="#e69f00",
    baseline="#7d8792",
    density=("#1d4263", "#d9efff"),
)


def new_figure(height: float, theme: Theme, width: float = WIDTH) -> Figure:
    """Return an empty figure; height and width are in inches."""
    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor=theme.paper)


def styled(axes: Axes, theme: Theme) -> Axes:
    """Apply the report's style to axes and return them."""
    axes.set_facecolor(theme.paper)
    axes.spines[:].set_visible(False)
    axes.grid(color=theme.line, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.muted, labelsize=9, length=0)
    return axes


def legend_above(figure: Figure, handles: Sequence[Artist], theme: Theme) -> None:
    """Add a legend of one line above all axes."""
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=len(handles),
        fontsize=9,
        frameon=False,
        handlelength=1.6,
        columnspacing=1.2,
        labelcolor=theme.ink,
    )


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as PNG; the same figure gives the same bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})  # else Matplotlib adds its version
    return buffer.getvalue()


def shortened(name: str, length: int = 22) -> str:
    """Return a name cut to `length` characters."""
    return name if len(name) <= length else f"{name[: length - 1]}…"
