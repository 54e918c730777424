"""What every HTML page has in common: one file in light and dark that needs nothing else and trusts no name."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from metrifier_core.report.drawing import DARK, LIGHT


def render_page(template: str, filters: Mapping[str, Callable[..., Any]], *, script: str = "", **values: Any) -> str:
    """Renders a template of this folder that extends `page.html.jinja`.

    Args:
        template: Its file.
        filters: Functions that it applies to values.
        script: A file of the project's own: all that the page lets run, by its hash.
        **values: What it shows; all of it is escaped.
    """
    environment = Environment(
        loader=PackageLoader("metrifier_core", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {**filters, "sha256": _sha256}
    # Macros of another file see globals alone.
    environment.globals |= {"light": LIGHT, "dark": DARK, "script": script, **values}
    return environment.get_template(template).render()


def _sha256(text: str) -> str:
    """Names a script as a content security policy does."""
    return b64encode(sha256(text.encode()).digest()).decode("ascii")
