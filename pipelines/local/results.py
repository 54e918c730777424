"""What a finished run shows: files under the names that people look for, and the metrics as a table."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

_SHOWN = {
    "global": "global",
    "within_image": "within image",
    "within_condition": "within condition",
    "auroc": "AUROC",
    "augrc": "AUGRC",
}


def _link(target: Path, name: Path) -> None:
    """Points a name at a folder that a task made, whatever stood there before."""
    temporary = name.with_name(f".{name.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, name.parent))
    temporary.replace(name)


def _copy(source: Path, name: Path) -> None:
    """Copies a file: its own name has no ending, and a browser that follows a link to it would show its source."""
    temporary = name.with_name(f".{name.name}.new")
    shutil.copyfile(source, temporary)
    temporary.replace(name)


def publish(outputs: Mapping[str, Any], folder: Path) -> None:
    """Gives what the tasks made the names that people look for.

    Args:
        outputs: The pipeline's artifacts.
        folder: The run's folder.
    """
    quality, evaluated = Path(outputs["quality"].path), Path(outputs["evaluated"].path)
    for artifact, name in (("images", "images"), ("prepared", "workers"), ("model", "model")):
        _link(Path(outputs[artifact].path), folder / name)
    for source, name in (
        (quality / "quality.parquet", "quality.parquet"),
        (quality / "dataset.json", "dataset.json"),
        (evaluated / "predictions.parquet", "predictions.parquet"),
        (evaluated / "examples.png", "examples.png"),
        (Path(outputs["metrics"].path), "metrics.json"),
        (Path(outputs["report"].path), "report.html"),
        (Path(outputs["registered"].path), "registered.json"),
        (Path(outputs["model_card"].path), "model_card.md"),
    ):
        _copy(source, folder / name)
    for table, tasks in json.loads((quality / "made_from.json").read_text()).items():
        shards = folder / table
        shutil.rmtree(shards, ignore_errors=True)
        shards.mkdir()
        for task in tasks:
            for path in Path(task).glob("*.parquet"):
                _link(path, shards / path.name)


def publish_families(outputs: Mapping[str, Any], folder: Path) -> None:
    """Gives what the folds of a run made the names that people look for.

    Args:
        outputs: The pipeline's artifacts.
        folder: The run's folder; each family has one of its own in `families`.
    """
    _copy(Path(outputs["metrics"].path), folder / "families.json")
    _copy(Path(outputs["table"].path), folder / "families.md")
    for family, files in json.loads(outputs["metrics"].metadata["folds"]).items():
        own = folder / "families" / family
        own.mkdir(parents=True, exist_ok=True)
        _link(Path(files["model"]), own / "model")
        evaluated = Path(files["evaluated"])
        for source, name in (
            (Path(files["metrics"]), "metrics.json"),
            (Path(files["report"]), "report.html"),
            (evaluated / "predictions.parquet", "predictions.parquet"),
            (evaluated / "examples.png", "examples.png"),
        ):
            _copy(source, own / name)


def _number(value: float | None, form: str = ".3f") -> str:
    return "" if value is None else format(value, form)


def _row(name: str, level: str, found: Mapping[str, float | None]) -> list[str]:
    interval = "" if found["low"] is None else f"{_number(found['low'])} to {_number(found['high'])}"
    value = found["rho"] if "rho" in found else found["value"]
    return [name, level, _number(value), interval, _number(found["ceiling"]), _number(found.get("share"), ".0%")]


def metrics_table(metrics: Mapping[str, Any]) -> Table:
    """Lays out the headline metrics.

    Args:
        metrics: What stands in `metrics.json`.

    Returns:
        A table for a terminal: the metrifier against each held-out worker and their mean.
    """
    title = f"Spearman on {metrics['rows']:,} test versions of {metrics['sources']:,} source images"
    table = Table(title=title, box=SIMPLE)
    for heading in ("held-out worker", "level"):
        table.add_column(heading, no_wrap=True)
    for heading in ("value", "95 % interval", "ceiling", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, found in metrics["workers"].items():
        for index, (key, level) in enumerate(_SHOWN.items()):
            table.add_row(*_row("" if index else name, level, found[key]))
    return table


def baselines_table(metrics: Mapping[str, Any]) -> Table:
    """Lays out what the metrifier has to beat.

    Args:
        metrics: What stands in `metrics.json`.

    Returns:
        A table for a terminal: every predictor against the held-out workers' mean; the intervals are in the report.
    """
    table = Table(title="Beside the ceiling and the baselines, mean over held-out workers", box=SIMPLE)
    table.add_column("predictor", no_wrap=True)
    for heading in _SHOWN.values():
        table.add_column(heading, justify="right", no_wrap=True)
    named = {"ceiling": metrics["ceiling"], "metrifier": metrics["workers"], **metrics["baselines"]}
    for name, by_target in named.items():
        found = by_target["mean"]
        values = [found[key]["rho"] if "rho" in found[key] else found[key]["value"] for key in _SHOWN]
        table.add_row(name.replace("_", " "), *map(_number, values))
    return table


def families_tables(found: Mapping[str, Any]) -> list[Table]:
    """Lays out what a metrifier reaches on every family of workers that was held out.

    Args:
        found: What stands in `families.json`.

    Returns:
        Two tables for a terminal: the metrifier on each family, and the means over the families of all predictors; the
        intervals are in `families.md`.
    """
    own = {family: fold["seen"]["predictors"]["metrifier"] for family, fold in found["families"].items()}
    means = found["mean"]["seen"]["predictors"]
    titles = ("The metrifier, by the family that was held out", "Mean over the families")
    tables = []
    for title, heading, rows in zip(titles, ("family", "predictor"), (own, means), strict=True):
        table = Table(title=title, box=SIMPLE)
        table.add_column(heading, no_wrap=True)
        for figure in (*_SHOWN.values(), "share"):
            table.add_column(figure, justify="right", no_wrap=True)
        for name, by_figure in rows.items():
            values = [_number(by_figure[key]["value"]) for key in _SHOWN]
            share = _number(by_figure["global"].get("share"), ".0%")
            table.add_row(name if heading == "family" else name.replace("_", " "), *values, share)
        tables.append(table)
    return tables
