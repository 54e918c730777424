"""What a run found, as one self-contained HTML file."""

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from metrifier_core.report.correlation_figures import correlation_bars
from metrifier_core.report.data import ReportData
from metrifier_core.report.decision_figures import error_against_discard, reliability_diagram
from metrifier_core.report.drawing import DARK, LIGHT, Theme
from metrifier_core.report.formatting import (
    DASH,
    breakable,
    data_uri,
    decimal,
    interval,
    percent,
    plain,
    sentence_case,
    size,
    words,
)
from metrifier_core.report.heat_map import correlation_heat_map
from metrifier_core.report.ordering import best_first, first_target, judged_metrics, mean_first
from metrifier_core.report.page import render_page
from metrifier_core.report.quality_figures import predicted_against_true, quality_by_severity
from metrifier_core.report.training_figures import training_curves
from metrifier_core.report.verdict import FIFTH, reasons, verdict
from metrifier_core.settings.yaml import dump_yaml
from metrifier_core.statistics import BASELINES, CEILING, METRIFIER

SMALL_IMAGE = 100  # pixels: shorter images are enlarged pixel by pixel
QUALITIES = {
    "mean": "the mean TCP over the label workers",
    "median": "the median TCP over the label workers",
    "mean_rank": "the mean rank of a version's TCP among all those of a label worker",
}
KNOWLEDGE = {
    METRIFIER: "sees only the image",
    CEILING: "asks the label workers, knows the right class",
    **BASELINES,
}


def render_report(data: ReportData) -> str:
    """Return the report as HTML with its pictures inside; the same data gives the same bytes."""
    named: list[Callable[..., Any]] = [breakable, data_uri, decimal, interval, percent, plain, size, words]
    named += [best_first, mean_first]
    filters = {function.__name__: function for function in named}
    filters |= {"sentence": sentence_case, "yaml": dump_yaml}
    script = files("metrifier_core.report").joinpath("report.js").read_text(encoding="utf-8")
    target = first_target(data.metrics.workers)
    merged = data.config["merge"]["quality"]
    return render_page(
        "report.html.jinja",
        filters,
        script=script,
        data=data,
        metrics=data.metrics,
        target=target,
        judged=judged_metrics(data.metrics.workers[target]),
        label_judged=judged_metrics(data.metrics.label),
        discarded=data.metrics.discarded.index(FIFTH),
        verdict=verdict(data.metrics),
        reasons=reasons(data.metrics),
        quality=QUALITIES[merged],
        comparable=_is_probability(merged),
        pictures=_pictures(data, target),
        dataset=data.dataset.model_dump(mode="json", exclude={"mean_quality"}),
        mean_quality=_by_condition(data.dataset.mean_quality),
        knowledge=KNOWLEDGE,
        small_image=SMALL_IMAGE,
        dash=DASH,
    )


def _is_probability(merged: str) -> bool:
    """Return whether the quality is on the scale of the held-out workers' answers."""
    return merged != "mean_rank"


def _pictures(data: ReportData, target: str) -> dict[str, tuple[bytes, bytes]]:
    """Return each figure's name -> its PNG for a light and for a dark page."""
    draw: dict[str, Callable[[Theme], bytes]] = {
        "predicted_against_true": lambda theme: predicted_against_true(
            data.predictions, theme, comparable=_is_probability(data.config["merge"]["quality"])
        ),
        "correlation_bars": lambda theme: correlation_bars(data.metrics, theme),
        "correlation_heat_map": lambda theme: correlation_heat_map(data.metrics, theme),
        "error_against_discard": lambda theme: error_against_discard(data.metrics, target, theme),
        "reliability_diagram": lambda theme: reliability_diagram(data.metrics.reliability, theme),
        "quality_by_severity": lambda theme: quality_by_severity(data.predictions, theme),
    }
    if data.training.root:
        draw["training_curves"] = lambda theme: training_curves(data.training.model_dump(), theme)
    return {name: (picture(LIGHT), picture(DARK)) for name, picture in draw.items()}


def _by_condition(mean_quality: Mapping[str, float]) -> dict[str, dict[int, float]]:
    """Return distortion -> severity -> mean quality, of values by "DISTORTION SEVERITY"."""
    by_distortion: dict[str, dict[int, float]] = {}
    for condition, value in mean_quality.items():
        distortion, severity = condition.rsplit(" ", 1)
        by_distortion.setdefault(distortion, {})[int(severity)] = value
    return by_distortion
