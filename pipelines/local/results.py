"""The results of a finished run: files under well-known names, and the metrics as tables."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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


def _link(target: Path, name: Path) -> None:
    """Point a name at a folder of a task, replacing what was there."""
    temporary = name.with_name(f".{name.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, name.parent))
    temporary.replace(name)


def _copy(source: Path, name: Path) -> None:
    """Copy a file: an artifact has no suffix, and a browser that follows a link to it would show its source."""
    temporary = name.with_name(f".{name.name}.new")
    shutil.copyfile(source, temporary)
    temporary.replace(name)


def _copy_judged(metrics: str, report: str, evaluated: Path, folder: Path) -> None:
    """Copy what `evaluate_spearman` made."""
    _copy(Path(metrics), folder / "metrics.json")
    _copy(Path(report), folder / "report.html")
    for name in ("predictions.parquet", "examples.png"):
        _copy(evaluated / name, folder / name)


def publish(outputs: Mapping[str, Any], folder: Path) -> None:
    """Put what the tasks of a run made under well-known names.

    Args:
        outputs: The pipeline's artifacts.
        folder: The run's folder.
    """
    quality = Path(outputs["quality"].path)
    for artifact, name in (("images", "images"), ("prepared", "workers"), ("model", "model")):
        _link(Path(outputs[artifact].path), folder / name)
    for name in ("quality.parquet", "dataset.json"):
        _copy(quality / name, folder / name)
    _copy_judged(outputs["metrics"].path, outputs["report"].path, Path(outputs["evaluated"].path), folder)
    _copy(Path(outputs["registered"].path), folder / "registered.json")
    _copy(Path(outputs["model_card"].path), folder / "model_card.md")
    for table, tasks in json.loads((quality / "made_from.json").read_text()).items():
        shards = folder / table
        shutil.rmtree(shards, ignore_errors=True)
        shards.mkdir()
        for task in tasks:
            for path in Path(task).glob("*.parquet"):
                _link(path, shards / path.name)


def publish_families(outputs: Mapping[str, Any], folder: Path) -> None:
    """Put what the folds of a run made under well-known names.

    Args:
        outputs: The pipeline's artifacts.
        folder: The run's folder; each family gets a folder in its `families`.
    """
    _copy(Path(outputs["metrics"].path), folder / "families.json")
    _copy(Path(outputs["table"].path), folder / "families.md")
    for family, files in json.loads(outputs["metrics"].metadata["folds"]).items():
        fold = folder / "families" / family
        fold.mkdir(parents=True, exist_ok=True)
        _link(Path(files["model"]), fold / "model")
        _copy_judged(files["metrics"], files["report"], Path(files["evaluated"]), fold)


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
