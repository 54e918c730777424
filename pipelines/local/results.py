"""The results of a finished run: files under the names that users expect, and the metrics as tables."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter
from rich.box import SIMPLE
from rich.table import Table

from metrifier_core.statistics import (
    CEILING,
    HEADLINE,
    MEAN,
    METRIFIER,
    FamiliesMetrics,
    Figures,
    Metric,
    Metrics,
    list_metrics,
)


class _Fold(BaseModel):
    """Where a fold's files are, as `compare_families` notes it."""

    model: Path
    metrics: Path
    report: Path
    evaluated: Path


_TABLES = TypeAdapter(dict[str, list[Path]])  # the folders of `versions` and `losses`, in made_from.json
_FOLDS = TypeAdapter(dict[str, _Fold])  # by family


def _replace(path: Path) -> Path:
    """Return where to write what then replaces a path at once."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    return temporary


def _link(target: Path, path: Path) -> None:
    """Link a path to a folder or a table that a task made."""
    temporary = _replace(path)
    temporary.symlink_to(os.path.relpath(target, path.parent))
    temporary.replace(path)


def _copy(source: Path, path: Path) -> None:
    """Copy a file: artifacts have no suffix, and a browser that follows a link to one would show HTML as text."""
    temporary = _replace(path)
    shutil.copyfile(source, temporary)
    temporary.replace(path)


def publish(outputs: Mapping[str, Any], folder: Path) -> None:
    """Put the artifacts of a run under the names that users expect.

    Args:
        outputs: The pipeline's artifacts.
        folder: The run's folder.
    """
    paths = {name: Path(artifact.path) for name, artifact in outputs.items()}
    for name, artifact in (("images", "images"), ("workers", "prepared"), ("model", "model")):
        _link(paths[artifact], folder / name)
    for name in ("quality.parquet", "dataset.json"):
        _copy(paths["quality"] / name, folder / name)
    for name in ("predictions.parquet", "examples.png"):
        _copy(paths["evaluated"] / name, folder / name)
    for name in ("metrics.json", "report.html", "registered.json", "model_card.md"):
        _copy(paths[Path(name).stem], folder / name)
    for table, tasks in _TABLES.validate_json((paths["quality"] / "made_from.json").read_text()).items():
        shards = folder / table
        shutil.rmtree(shards, ignore_errors=True)
        shards.mkdir()
        for task in tasks:
            for path in task.glob("*.parquet"):
                _link(path, shards / path.name)


def publish_families(outputs: Mapping[str, Any], folder: Path) -> None:
    """Put the artifacts of all folds under the names that users expect.

    Args:
        outputs: The pipeline's artifacts.
        folder: The run's folder, in which each family gets the folder `families/FAMILY`.
    """
    _copy(Path(outputs["metrics"].path), folder / "families.json")
    _copy(Path(outputs["table"].path), folder / "families.md")
    for family, fold in _FOLDS.validate_json(outputs["metrics"].metadata["folds"]).items():
        target = folder / "families" / family
        target.mkdir(parents=True, exist_ok=True)
        _link(fold.model, target / "model")
        _copy(fold.metrics, target / "metrics.json")
        _copy(fold.report, target / "report.html")
        for name in ("predictions.parquet", "examples.png"):
            _copy(fold.evaluated / name, target / name)


def _number(value: float | None, form: str = ".3f") -> str:
    return "" if value is None else format(value, form)


def _judged(figures: Figures) -> list[Metric]:
    return [metric for metric in list_metrics("workers") if metric.name in figures]


def metrics_table(metrics: Metrics) -> Table:
    """Return a table for a terminal: the metrifier against each held-out worker and their mean."""
    title = f"The metrifier on {metrics.rows:,} test versions of {metrics.sources:,} source images"
    table = Table(title=title, box=SIMPLE)
    for heading in ("held-out worker", "metric"):
        table.add_column(heading, no_wrap=True)
    for heading in ("value", "95 % interval", "ceiling", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    for worker, figures in metrics.workers.items():
        for index, metric in enumerate(_judged(figures)):
            figure = figures[metric.name]
            interval = "" if figure.low is None else f"{_number(figure.low)} to {_number(figure.high)}"
            share = _number(figure.share, ".0%")
            numbers = (_number(figure.value), interval, _number(figure.ceiling), share)
            table.add_row("" if index else worker, metric.title, *numbers)
    return table


def baselines_table(metrics: Metrics) -> Table:
    """Return a table for a terminal: every predictor against the held-out workers' mean, without intervals."""
    predictors = {CEILING: metrics.ceiling, METRIFIER: metrics.workers, **metrics.baselines}
    title = "Beside the ceiling and the baselines, mean over held-out workers"
    return _figures_table(title, "predictor", {name: by_target[MEAN] for name, by_target in predictors.items()})


def families_tables(compared: FamiliesMetrics) -> list[Table]:
    """Return tables for a terminal: the metrifier on each family, and the means of all predictors over the families."""
    by_family = {family: fold.seen.predictors[METRIFIER] for family, fold in compared.families.items()}
    return [
        _figures_table("The metrifier, by the family that was held out", "family", by_family, share=True),
        _figures_table("Mean over the families", "predictor", compared.mean.seen.predictors, share=True),
    ]


def _figures_table(title: str, heading: str, rows: Mapping[str, Figures], *, share: bool = False) -> Table:
    metrics = _judged(next(iter(rows.values())))
    table = Table(title=title, box=SIMPLE)
    table.add_column(heading, no_wrap=True)
    for column in [*(metric.heading for metric in metrics), *(["share"] if share else [])]:
        table.add_column(column, justify="right", no_wrap=True)
    for name, figures in rows.items():
        values = [_number(figures[metric.name].value) for metric in metrics]
        shares = [_number(figures[HEADLINE].share, ".0%")] if share else []
        table.add_row(name if heading == "family" else name.replace("_", " "), *values, *shares)
    return table
