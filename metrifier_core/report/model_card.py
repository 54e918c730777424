"""A model card: what a metrifier is, what it was made from, how good it is and what it cannot do, as Markdown."""

from collections.abc import Iterator, Mapping
from typing import Any

from metrifier_core.data.dataset_card import DatasetCard
from metrifier_core.data.metrifier_card import MetrifierCard
from metrifier_core.report.formatting import UNDEFINED, in_markdown
from metrifier_core.report.ordering import judged_metrics
from metrifier_core.report.page import render_template
from metrifier_core.statistics import HEADLINE, Metrics, get_metric

_NOT_STATED = "not stated"


def render_model_card(
    name: str,
    card: MetrifierCard,
    sizes: Mapping[str, int],
    config: Mapping[str, Any],
    dataset: DatasetCard | None,
    metrics: Metrics | None,
) -> str:
    """Return the model card of a registered model as Markdown; the same arguments give the same text.

    Args:
        name: The model's name in the registry.
        card: The card beside the weights.
        sizes: File beside it -> bytes.
        config: The run's config.
        dataset: The data set's card, where known.
        metrics: The metrics, where the model was judged.
    """
    backbone = config.get("metrifier", {}).get("backbone")
    inside = {"name": "the backbone, inside this network", "role": "pretrained"}
    return render_template(
        "model_card.md.jinja",
        {"decimal": _decimal, "percent": _percent, "estimate": in_markdown, "judged": judged_metrics},
        name=name,
        card=card,
        sizes=sizes,
        data=_data(config, dataset),
        workers=[*_workers(config.get("workers", {})), *([{**inside, **_weights(backbone)}] if backbone else [])],
        metrics=metrics,
        headline=get_metric(HEADLINE),
        unseen=", ".join(config.get("distortions", {}).get("held_out", [])),
        data_licence=config.get("source", {}).get("licence") or _NOT_STATED,
    )


def _decimal(value: float | None, digits: int = 3) -> str:
    return UNDEFINED if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return UNDEFINED if value is None else f"{100 * value:.0f} %"


def _weights(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return where weights come from, as cells of a table."""
    cells = {field: str(entry.get(field) or "").replace("|", r"\|") for field in ("family", "source", "licence")}
    if entry.get("format") == "miniature":
        cells |= {"source": "trained in this run", "licence": "as the images'"}
    return cells


def _workers(settings: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for role, key in (("label", "label"), ("held out", "held_out")):
        for name in settings.get(key, []):
            yield {"name": f"`{name}`", "role": role, **_weights(settings.get("catalogue", {}).get(name, {}))}


def _data(config: Mapping[str, Any], dataset: DatasetCard | None) -> dict[str, str]:
    """Return what is known of the data set."""
    source, distortions = config.get("source", {}), config.get("distortions", {})
    facts = {
        "source": source.get("kind"),
        "usable images": dataset and dataset.accepted,
        "versions": dataset and dataset.versions,
        "source images per split": dataset and ", ".join(f"{name} {count:,}" for name, count in dataset.splits.items()),
        "distortions": ", ".join(distortions.get("types", [])),
        "held out for the test": ", ".join(distortions.get("held_out", [])),
        "severities": ", ".join(f"{level:g}" for level in distortions.get("severities", [])),
        "seed": str(config.get("seed", "")),
        "SHA-256 of the table": dataset and dataset.sha256,
    }
    return {
        key: f"{value:,}" if isinstance(value, int) else str(value)
        for key, value in facts.items()
        if value not in (None, "")
    }
