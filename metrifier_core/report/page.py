"""The one Jinja environment of all pages and documents, and what every HTML page has in common."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from metrifier_core.report.drawing import DARK, LIGHT

Filters = Mapping[str, Callable[..., Any]]


def render_template(template: str, filters: Filters, **values: Any) -> str:
    """Render a template of this folder; the same arguments give the same text.

    A `*.html.jinja` escapes all values, other files none. The macros of other files see the values too.
    """
    environment = Environment(
        loader=PackageLoader("metrifier_core", "report"),
        autoescape=select_autoescape(("html.jinja",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= filters
    # Macros of another file see globals alone.
    environment.globals |= values
    return environment.get_template(template).render()


def render_page(template: str, filters: Filters, *, script: str = "", **values: Any) -> str:
    """Render a template that extends `page.html.jinja`: one file, in light and dark, that needs nothing else.

    All values are escaped; the hash of the project's own script lets the page run this and nothing else.
    """
    filters = {**filters, "sha256": _sha256}
    return render_template(template, filters, light=LIGHT, dark=DARK, script=script, **values)


def _sha256(text: str) -> str:
    """Return the hash of a script as a content security policy names it."""
    return b64encode(sha256(text.encode()).digest()).decode("ascii")
