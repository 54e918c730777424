"""What every HTML page has in common: one file, in light and dark, that needs nothing else and trusts no name."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from metrifier_core.report.drawing import DARK, LIGHT
from metrifier_core.report.templates import render_template


def render_page(template: str, filters: Mapping[str, Callable[..., Any]], *, script: str = "", **values: Any) -> str:
    """Render a template of this folder that extends `page.html.jinja`.

    Args:
        template: Its file.
        filters: Functions that it applies to values.
        script: The project's own script; its hash lets the page run this and nothing else.
        **values: What the page shows; all of it is escaped.

    Returns:
        The page.
    """
    return render_template(template, {**filters, "sha256": _sha256}, light=LIGHT, dark=DARK, script=script, **values)


def _sha256(text: str) -> str:
    """Return the hash of a script as a content security policy names it."""
    return b64encode(sha256(text.encode()).digest()).decode("ascii")
