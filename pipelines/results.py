"""What a finished run shows: files under the names that people look for, and the metrics as a table."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

__all__ = ["metrics_table", "publish"]


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
    for table in ("versions", "losses"):
        shards = folder / table
        shutil.rmtree(shards, ignore_errors=True)
        shards.mkdir()
        for task in outputs["quality"].metadata[table]:
            for path in Path(task).glob("*.parquet"):
                _link(path, shards / path.name)


def _row(name: str, level: str, found: Mapping[str, float | None]) -> list[str]:
    def number(key: str, form: str) -> str:
        value = found.get(key)
        return "" if value is None else format(value, form)

    interval = f"{number('low', '.3f')} to {number('high', '.3f')}" if found["low"] is not None else ""
    return [name, level, number("rho", ".3f"), interval, number("ceiling", ".3f"), number("share", ".0%")]


def metrics_table(metrics: Mapping[str, Any]) -> Table:
    """Lays out the headline metrics.

    Args:
        metrics: What stands in `metrics.json`.

    Returns:
        A table for a terminal: the metrifier against each held-out worker, then the baselines.
    """
    title = f"Spearman on {metrics['rows']:,} test versions of {metrics['sources']:,} source images"
    table = Table(title=title, box=SIMPLE)
    for heading in ("held-out worker", "level"):
        table.add_column(heading, no_wrap=True)
    for heading in ("rho", "95 % interval", "ceiling", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    named = [*metrics["workers"].items()]
    named += [(f"baseline: {name.replace('_', ' ')}", levels) for name, levels in metrics["baselines"].items()]
    for name, levels in named:
        for index, (level, found) in enumerate(levels.items()):
            table.add_row(*_row("" if index else name, level.replace("_", " "), found))
    return table
