"""How the report writes names and numbers."""

import math
from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO

from markupsafe import Markup
from PIL import Image

LEVELS = {"global": "Global", "within_image": "Within image", "within_condition": "Within condition"}
AREAS = {"auroc": "AUROC", "augrc": "AUGRC"}
DASH = "\N{EN DASH}"  # stands for what is undefined


def decimal(value: float | None, digits: int = 2) -> str:
    """Write a number with so many digits after the point."""
    if value is None or math.isnan(value):
        return DASH
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def percent(value: float | None) -> str:
    """Write a share as a whole number of percent."""
    return DASH if value is None else f"{decimal(100 * value, 0)}\N{NO-BREAK SPACE}%"


def interval(result: Mapping[str, float | None], digits: int = 2) -> str:
    """Write what lies from `low` to `high`."""
    low, high = result["low"], result["high"]
    return DASH if low is None or high is None else f"{decimal(low, digits)} to {decimal(high, digits)}"


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
    """Write a PNG as an address that holds it."""
    return f"data:image/png;base64,{b64encode(png).decode('ascii')}"


def size(png: bytes) -> tuple[int, int]:
    """Return the width and the height of a PNG."""
    return Image.open(BytesIO(png)).size
