"""How the report and the cards write names and numbers."""

import math
from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO

from markupsafe import Markup
from PIL import Image

from metrifier_core.statistics import Estimate

DASH = "\N{EN DASH}"  # stands for an undefined value
UNDEFINED = "undefined"  # in Markdown


def decimal(value: float | None, digits: int = 2) -> str:
    """Write a number with this many digits after the point."""
    if value is None or math.isnan(value):
        return DASH
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def percent(value: float | None) -> str:
    """Write a share as a whole number of percent."""
    return DASH if value is None else f"{decimal(100 * value, 0)}\N{NO-BREAK SPACE}%"


def interval(estimate: Estimate, digits: int = 2) -> str:
    """Write the interval of an estimate."""
    low, high = estimate.low, estimate.high
    return DASH if low is None or high is None else f"{decimal(low, digits)} to {decimal(high, digits)}"


def in_markdown(estimate: Estimate) -> str:
    """Write an estimate with its interval in ASCII, as Markdown files have it."""
    if estimate.value is None:
        return UNDEFINED
    within = f" ({estimate.low:.3f} to {estimate.high:.3f})" if estimate.low is not None else ""
    return f"{estimate.value:.3f}{within}"


def sentence_case(name: str) -> str:
    """Write a name with a capital first letter."""
    return name[:1].upper() + name[1:]


def plain(value: object) -> str:
    """Write any value of a JSON file as prose."""
    match value:
        case None:
            return DASH
        case Mapping():
            return ", ".join(f"{words(str(key))} {plain(part)}" for key, part in value.items())
        case list():
            return ", ".join(map(plain, value))
        case int() if not isinstance(value, bool):
            return f"{value:,}"
        case float():
            return f"{value:.4g}"
    return str(value)


def words(name: str) -> str:
    """Write an identifier as words."""
    return name.replace("_", " ")


def breakable(name: str) -> Markup:
    """Allow a line to break after each underscore."""
    return Markup("_<wbr>").join(name.split("_"))


def data_uri(png: bytes) -> str:
    """Write a PNG as a data URI."""
    return f"data:image/png;base64,{b64encode(png).decode('ascii')}"


def size(png: bytes) -> tuple[int, int]:
    """Return the width and the height of a PNG."""
    return Image.open(BytesIO(png)).size
