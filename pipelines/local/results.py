"""The results of a finished run: files under the names that users expect, and the metrics as tables."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter
from rich.box import SIMPLE
from rich.table import Table

_FIGURES = {
    "global": "global",
    "within_image": "within image",
    "within_condition": "within condition",
    "auroc": "AUROC",
    "augrc": "AUGRC",
}


class Registration(BaseModel):
    """A registered metrifier, as `registered.json` has it.

    Attributes:
        model_name: Name in MLflow's registry.
        version: None if MLflow could not be reached yet.
        champion: Whether the version is the champion.
        gate: Why it is or is not.
        experiment_id: MLflow's experiment.
    """

    model_name: str
    version: str | None
    champion: bool
    gate: str
    experiment_id: str = ""

    def __str__(self) -> str:
        standing = "the champion" if self.champion else "a challenger"
        return f"{self.model_name} version {self.version}, {standing}: {self.gate}"


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


def _value(figure: Mapping[str, float | None]) -> float | None:
    return figure["rho"] if "rho" in figure else figure["value"]


def _table(title: str, texts: Iterable[str], numbers: Iterable[str]) -> Table:
    table = Table(title=title, box=SIMPLE)
    for heading in texts:
        table.add_column(heading, no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def metrics_table(metrics: Mapping[str, Any]) -> Table:
    """Return the headline metrics: the metrifier against each held-out worker and their mean.

    Args:
        metrics: The content of `metrics.json`.
    """
    title = f"Spearman on {metrics['rows']:,} test versions of {metrics['sources']:,} source images"
    table = _table(title, ("held-out worker", "level"), ("value", "95 % interval", "ceiling", "share"))
    for worker, figures in metrics["workers"].items():
        for index, (key, level) in enumerate(_FIGURES.items()):
            figure = figures[key]
            interval = "" if figure["low"] is None else f"{_number(figure['low'])} to {_number(figure['high'])}"
            numbers = _number(_value(figure)), interval, _number(figure["ceiling"]), _number(figure.get("share"), ".0%")
            table.add_row("" if index else worker, level, *numbers)
    return table


def baselines_table(metrics: Mapping[str, Any]) -> Table:
    """Return the metrifier beside its ceiling and the baselines, against the mean of the held-out workers.

    Args:
        metrics: The content of `metrics.json`.
    """
    table = _table(
        "Beside the ceiling and the baselines, mean over held-out workers", ("predictor",), _FIGURES.values()
    )
    predictors = {"ceiling": metrics["ceiling"], "metrifier": metrics["workers"], **metrics["baselines"]}
    for name, workers in predictors.items():
        table.add_row(name.replace("_", " "), *(_number(_value(workers["mean"][key])) for key in _FIGURES))
    return table


def families_tables(families: Mapping[str, Any]) -> list[Table]:
    """Return the metrifier on each family of held-out workers, and the means over the families of all predictors.

    Args:
        families: The content of `families.json`; its intervals are in `families.md` alone.
    """
    folds = {family: fold["seen"]["predictors"]["metrifier"] for family, fold in families["families"].items()}
    means = {name.replace("_", " "): row for name, row in families["mean"]["seen"]["predictors"].items()}
    tables = []
    for title, heading, rows in (
        ("The metrifier, by the family that was held out", "family", folds),
        ("Mean over the families", "predictor", means),
    ):
        table = _table(title, (heading,), (*_FIGURES.values(), "share"))
        for name, figures in rows.items():
            share = _number(figures["global"].get("share"), ".0%")
            table.add_row(name, *(_number(figures[key]["value"]) for key in _FIGURES), share)
        tables.append(table)
    return tables
