"""What all figures of the report share: colours, size, style and file format."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 5.2  # inches: narrow enough that ten-point text can be read on a phone
DOTS_PER_INCH = 200


@dataclass(frozen=True)
class Theme:
    """Colours of a page and its figures, as CSS hexadecimal strings.

    `metrifier` and `truth` are from the palette of Okabe and Ito (2008, "Color Universal Design"), which
    people of every colour vision can tell apart; `density` runs from few to many.
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
    """Opens a figure of so many inches."""
    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor=theme.paper)


def styled(axes: Axes, theme: Theme) -> Axes:
    """Gives axes the report's look."""
    axes.set_facecolor(theme.paper)
    axes.spines[:].set_visible(False)
    axes.grid(color=theme.line, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.muted, labelsize=9, length=0)
    return axes


def legend_above(figure: Figure, handles: Sequence[Artist], theme: Theme) -> None:
    """Puts a legend of one line above all axes."""
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
    """Draws a figure; the same figure gives the same bytes."""
    buffer = BytesIO()
    # Matplotlib would sign the file with its version, which is no part of the picture.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def shortened(name: str, length: int = 22) -> str:
    """Cuts a long name."""
    return name if len(name) <= length else f"{name[: length - 1]}…"
