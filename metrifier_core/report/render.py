"""What a run found, as one HTML file that needs nothing else."""

import math
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import Any

import pyarrow as pa
from markupsafe import Markup
from PIL import Image
from ruamel.yaml import YAML

from metrifier_core.report.decision_figures import error_against_discard, reliability_diagram
from metrifier_core.report.drawing import DARK, LIGHT, Theme
from metrifier_core.report.figures import (
    AREAS,
    DASH,
    LEVELS,
    Example,
    best_first,
    correlation_bars,
    mean_first,
    predicted_against_true,
    quality_by_severity,
    training_curves,
)
from metrifier_core.report.page import render_page
from metrifier_core.statistics import BASELINES

__all__ = ["ReportData", "render_report", "verdict"]

SMALL_IMAGE = 100  # pixels: an image with shorter sides is enlarged pixel by pixel
KNOWLEDGE = {
    "metrifier": "sees the image alone",
    "ceiling": "asks the label workers, knows the right class",
    **BASELINES,
}
_FIFTH = 0.2


@dataclass(frozen=True)
class ReportData:
    """Everything that a report shows.

    Attributes:
        name: of the run.
        metrics: what `evaluate_predictors` returns, on distortions of the training; `unseen_distortions`, the same
            on others, or None; and `agreement`, which has the names of all `workers`, a matrix `spearman` and a list
            `ceilings` in their order. A value that is undefined is None.
        predictions: a row a test version: `image_id` (string), `label` (int64), `distortion` (string),
            `severity` (int32, 0 is pristine), and in [0, 1] as float64 `predicted`, `quality` (the label
            workers' mean TCP) and `held_out` (the held-out workers' mean TCP).
        training: a mapping an epoch: `epoch`, `loss`, `validation_loss`, `validation_spearman`; may be empty.
        workers: `name`, `family`, `role`, `source`, `licence`, `sha256`, `temperature`, `calibration_images`, and
            on these `clean_accuracy`, its interval from `clean_accuracy_low` to `clean_accuracy_high`, and
            `clean_top5_accuracy`.
        dataset: counts by name; a count may itself be a mapping, as `splits` is.
        rejected: `path` and `reason` of each file that could not be used.
        examples: versions to show, in the order to show them.
        config: the run's configuration as plain values: mappings, lists, strings, numbers, booleans, None.
        versions: package -> its version.
    """

    name: str
    metrics: dict[str, Any]
    predictions: pa.Table
    training: list[dict[str, float]]
    workers: list[dict[str, Any]]
    dataset: dict[str, Any]
    rejected: list[dict[str, str]]
    examples: list[Example]
    config: dict[str, Any]
    versions: dict[str, str]


def render_report(data: ReportData) -> str:
    """Return the report as HTML with its pictures inside; the same data gives the same bytes."""
    filters: dict[str, Callable[..., Any]] = {
        "best_first": best_first,
        "breakable": _breakable,
        "data_uri": _data_uri,
        "decimal": _decimal,
        "interval": _interval,
        "mean_first": mean_first,
        "percent": _percent,
        "plain": _plain,
        "size": _size,
        "words": _words,
        "yaml": _yaml,
    }
    return render_page(
        "report.html.jinja",
        filters,
        data=data,
        metrics=data.metrics,
        verdict=verdict(data.metrics),
        pictures=_pictures(data),
        levels=LEVELS,
        areas=AREAS,
        knowledge=KNOWLEDGE,
        small_image=SMALL_IMAGE,
        dash=DASH,
    )


def verdict(metrics: Mapping[str, Any]) -> str:
    """Say in a few sentences what the metrics amount to, from the global Spearman correlations.

    Args:
        metrics: as `ReportData.metrics`.
    """
    result = _headline(metrics["workers"])
    if result["rho"] is None:
        return (
            "This run cannot say how well the metrifier ranks images: "
            "its Spearman correlation with the held-out workers is undefined."
        )
    opening = (
        "The metrifier ranks images for workers it has never met with a Spearman correlation of "
        f"{_decimal(result['rho'])}"
    )
    if result["low"] is not None:
        opening += f" (95 % interval {_interval(result)})"
    if result["share"] is not None:
        opening += f", {_percent(result['share'])} of what the label workers themselves reach"
    sentences = [f"{opening}."]
    if result["low"] is not None and result["low"] <= 0:
        sentences.append("That is not shown to be better than chance.")
    sentences += _discard_sentence(metrics)
    target = next(iter(mean_first(metrics["workers"])))
    for name, levels in list(best_first(metrics["baselines"], target).items())[:1]:
        if levels["global"]["rho"] is not None:
            known = f" ({KNOWLEDGE[name]})" if name in KNOWLEDGE else ""
            sentences.append(f"The best baseline, {name}{known}, reaches {_decimal(levels['global']['rho'])}.")
    if metrics["unseen_distortions"]:
        unseen = _headline(metrics["unseen_distortions"]["workers"])["rho"]
        if unseen is not None:
            sentences.append(f"On distortions it was never trained on, the metrifier reaches {_decimal(unseen)}.")
    return " ".join(sentences)


def _discard_sentence(metrics: Mapping[str, Any]) -> list[str]:
    """Say what a user who discards the worst-scored images gains."""
    result = next(iter(mean_first(metrics["workers"]).values()))
    error = dict(zip(metrics["discarded"], result["discard"]["metrifier"]["error"], strict=True))
    before, after = error[0.0], error[_FIFTH]
    if before is None or after is None:
        return []
    kept = "Without the fifth of the versions that it scores lowest, the held-out workers' error rate is"
    return [f"{kept} {_percent(after)} instead of {_percent(before)}."]


def _pictures(data: ReportData) -> dict[str, tuple[bytes, bytes]]:
    """Return each figure's name -> its PNG for a light and for a dark page."""
    target = next(iter(mean_first(data.metrics["workers"])))
    draw: dict[str, Callable[[Theme], bytes]] = {
        "predicted_against_true": lambda theme: predicted_against_true(data.predictions, theme),
        "correlation_bars": lambda theme: correlation_bars(data.metrics, theme),
        "error_against_discard": lambda theme: error_against_discard(data.metrics, target, theme),
        "reliability_diagram": lambda theme: reliability_diagram(data.metrics["calibration"], theme),
        "quality_by_severity": lambda theme: quality_by_severity(data.predictions, theme),
    }
    if data.training:
        draw["training_curves"] = lambda theme: training_curves(data.training, theme)
    return {name: (picture(LIGHT), picture(DARK)) for name, picture in draw.items()}


def _headline(workers: Mapping[str, Any]) -> Mapping[str, float | None]:
    result: Mapping[str, float | None] = next(iter(mean_first(workers).values()))["global"]
    return result


def _decimal(value: float | None, digits: int = 2) -> str:
    if value is None or math.isnan(value):
        return DASH
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _percent(value: float | None) -> str:
    return DASH if value is None else f"{_decimal(100 * value, 0)} %"


def _interval(result: Mapping[str, float | None], digits: int = 2) -> str:
    low, high = result["low"], result["high"]
    return DASH if low is None or high is None else f"{_decimal(low, digits)} to {_decimal(high, digits)}"


def _plain(value: object) -> str:
    match value:
        case None:
            return DASH
        case Mapping():
            return ", ".join(f"{_words(str(key))} {_plain(part)}" for key, part in value.items())
        case list():
            return ", ".join(map(_plain, value))
        case int() if not isinstance(value, bool):
            return f"{value:,}"
        case float():
            return f"{value:.4g}"
    return str(value)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _breakable(name: str) -> Markup:
    """Allow a line to break after each underscore."""
    return Markup("_<wbr>").join(name.split("_"))


def _yaml(values: Mapping[str, Any]) -> str:
    text = StringIO()
    YAML().dump(dict(values), text)
    return text.getvalue()


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode('ascii')}"


def _size(png: bytes) -> tuple[int, int]:
    return Image.open(BytesIO(png)).size
