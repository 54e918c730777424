"""The one Jinja environment of all pages and documents."""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def render_template(template: str, filters: Mapping[str, Callable[..., Any]], **values: Any) -> str:
    """Render a template of this folder.

    Args:
        template: Its file; `*.html.jinja` escapes all values, other files none.
        filters: Functions that it applies to values.
        **values: What it shows, seen by the macros of other files too.

    Returns:
        The text; the same arguments give the same text.
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
