"""The comparison of a run's folds as Markdown."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from metrifier_core.statistics import FIGURES, METRIFIER


def _figure(found: Mapping[str, Any]) -> str:
    if found["value"] is None:
        return "undefined"
    interval = f" ({found['low']:.3f} to {found['high']:.3f})" if found.get("low") is not None else ""
    share = f", {found['share']:.0%}" if found.get("share") is not None else ""
    return f"{found['value']:.3f}{interval}{share}"


def render_families(name: str, found: Mapping[str, Any]) -> str:
    """Writes down what a metrifier reaches on families of workers that it has never met.

    Args:
        name: Name of the run.
        found: `families`, what `summarize_fold` gave by family, and `mean`, what `average_folds` made of them.

    Returns:
        Markdown: on distortions that were trained on and on those that were not, the metrifier on each family, and
        every predictor's mean over the families.
    """
    environment = Environment(
        loader=PackageLoader("metrifier_core", "report"),
        autoescape=False,  # noqa: S701, it is Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["figure"] = _figure
    template = environment.get_template("families_table.md.jinja")
    return template.render(name=name, found=found, figures=FIGURES, metrifier=METRIFIER)
