"""What every HTML page has in common: one file in light and dark that needs nothing else and trusts no name."""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from metrifier_core.report.drawing import DARK, LIGHT

__all__ = ["render_page"]


def render_page(template: str, filters: Mapping[str, Callable[..., Any]], **values: Any) -> str:
    """Renders a template of this folder that extends `page.html.jinja`.

    Args:
        template: Its file.
        filters: Functions that it applies to values.
        **values: What it shows; all of it is escaped.
    """
    environment = Environment(
        loader=PackageLoader("metrifier_core", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(template).render(light=LIGHT, dark=DARK, **values)
