"""A model card: what a metrifier is, what it was made from, how good it is and what it cannot do, as Markdown."""

from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from metrifier_core.data.metrifier_card import MetrifierCard

_NOT_STATED = "not stated"


def _decimal(value: float | None, digits: int = 3) -> str:
    return "undefined" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.0f} %"


def _interval(row: Mapping[str, Any]) -> str:
    return "" if row["low"] is None or row["high"] is None else f" ({row['low']:.3f} to {row['high']:.3f})"


def _results(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Takes the correlations out of metrics that may hold more than these."""
    for worker, levels in metrics.get("workers", {}).items():
        for level, found in levels.items():
            if isinstance(found, Mapping) and found.get("rho") is not None:
                numbers = {key: found.get(key) for key in ("rho", "low", "high", "ceiling", "share")}
                name = "all, their mean" if worker == "mean" else f"`{worker}`"
                yield {"worker": name, "level": level.replace("_", " "), **numbers}


def _other_metrics(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Takes what is no correlation on seen distortions: failure detection, unseen types, calibration, baselines."""

    def row(name: str, found: Mapping[str, Any] | None, ceiling: float | None = None) -> Iterator[dict[str, Any]]:
        if found and found.get("value") is not None:
            yield {"name": name, **{key: found.get(key) for key in ("value", "low", "high")}, "ceiling": ceiling}

    def correlation(found: Mapping[str, Any]) -> dict[str, Any]:
        return {"value": found.get("rho"), **{key: found.get(key) for key in ("low", "high")}}

    mean = metrics.get("workers", {}).get("mean", {})
    for key, name in (
        ("auroc", "AUROC: tells where a held-out worker is right"),
        ("augrc", "AUGRC: risk of letting through what it is wrong on; lower is better"),
    ):
        found = mean.get(key) or {}
        yield from row(name, found, found.get("ceiling"))
    unseen = (metrics.get("unseen_distortions") or {}).get("workers", {}).get("mean", {}).get("global", {})
    yield from row(
        "Spearman, all versions of distortions unseen in training", correlation(unseen), unseen.get("ceiling")
    )
    calibration = metrics.get("calibration", {}).get("error")
    yield from row("calibration error, mean distance of score and label", calibration)
    for name, judged in metrics.get("baselines", {}).items():
        found = judged.get("mean", {}).get("global", {})
        yield from row(f"for comparison, Spearman of `{name}`", correlation(found))


def _weights(entry: Mapping[str, Any]) -> dict[str, str]:
    """Says where weights are from, as cells of a table."""
    said = {field: str(entry.get(field) or "").replace("|", r"\|") for field in ("family", "source", "licence")}
    if entry.get("format") == "miniature":
        said |= {"source": "trained in this run", "licence": "as the images'"}
    return said


def _workers(settings: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for role, key in (("label", "label"), ("held out", "held_out")):
        for name in settings.get(key, []):
            yield {"name": f"`{name}`", "role": role, **_weights(settings.get("catalogue", {}).get(name, {}))}


def _data(config: Mapping[str, Any], dataset: Mapping[str, Any]) -> dict[str, str]:
    """Says what the data set was made from, as far as it is known."""
    source, distortions = config.get("source", {}), config.get("distortions", {})
    said = {
        "source": source.get("kind"),
        "images that could be used": dataset.get("accepted"),
        "versions": dataset.get("versions"),
        "source images a split": ", ".join(f"{name} {count:,}" for name, count in dataset.get("splits", {}).items()),
        "distortions": ", ".join(distortions.get("types", [])),
        "held out for the test": ", ".join(distortions.get("held_out", [])),
        "severities": ", ".join(f"{level:g}" for level in distortions.get("severities", [])),
        "seed": str(config.get("seed", "")),
        "SHA-256 of the table": dataset.get("sha256"),
    }
    return {
        key: f"{value:,}" if isinstance(value, int) else str(value)
        for key, value in said.items()
        if value not in (None, "")
    }


def render_model_card(
    name: str,
    card: MetrifierCard,
    sizes: Mapping[str, int],
    config: Mapping[str, Any],
    dataset: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> str:
    """Writes a model card.

    Args:
        name: Of the registered model.
        card: What stands beside the weights.
        sizes: Bytes of the files beside it, by name.
        config: The run's config.
        dataset: What stands in `dataset.json`.
        metrics: What stands in `metrics.json`: `workers` (name or `mean` -> level -> `rho`, `low`, `high`, `ceiling`,
            `share`; of `mean` also `auroc` and `augrc`), `rows`, `sources`, `calibration`, `unseen_distortions` and
            `baselines`; none of them need be there, and what else there is does not matter.

    Returns:
        Markdown; the same arguments give the same text.
    """
    environment = Environment(
        loader=PackageLoader("metrifier_core", "report"),
        autoescape=False,  # noqa: S701, it is Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"decimal": _decimal, "percent": _percent, "interval": _interval}
    counted = f" ({metrics['rows']:,} of {metrics['sources']:,} source images)" if metrics.get("sources") else ""
    backbone = config.get("metrifier", {}).get("backbone")
    own = (
        [{"name": "the backbone, inside this network", "role": "pretrained", **_weights(backbone)}] if backbone else []
    )
    return environment.get_template("model_card.md.jinja").render(
        name=name,
        card=card,
        sizes=sizes,
        data=_data(config, dataset),
        workers=[*_workers(config.get("workers", {})), *own],
        results=list(_results(metrics)),
        other_metrics=list(_other_metrics(metrics)),
        counted=counted,
        unseen=", ".join(config.get("distortions", {}).get("held_out", [])),
        data_licence=config.get("source", {}).get("licence") or _NOT_STATED,
    )
