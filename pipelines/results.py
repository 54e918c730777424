"""What a finished run shows: files under the names that people look for, and the metrics as a table."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

__all__ = ["metrics_table", "publish"]


def _link(target: Path, name: Path) -> None:
    """Points a name at what a task made, whatever stood there before."""
    temporary = name.with_name(f".{name.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, name.parent))
    temporary.replace(name)


def publish(outputs: Mapping[str, Any], folder: Path) -> None:
    """Gives what the tasks made the names that people look for."""
    quality, evaluated = Path(outputs["quality"].path), Path(outputs["evaluated"].path)
    _link(Path(outputs["images"].path), folder / "images")
    _link(Path(outputs["prepared"].path), folder / "workers")
    _link(Path(outputs["model"].path), folder / "model")
    _link(quality / "quality.parquet", folder / "quality.parquet")
    _link(quality / "dataset.json", folder / "dataset.json")
    _link(Path(outputs["metrics"].path), folder / "metrics.json")
    _link(Path(outputs["report"].path), folder / "report.html")
    _link(Path(outputs["registered"].path), folder / "registered.json")
    _link(evaluated / "predictions.parquet", folder / "predictions.parquet")
    _link(evaluated / "examples.png", folder / "examples.png")
    for table in ("versions", "losses"):
        shards = folder / table
        shutil.rmtree(shards, ignore_errors=True)
        shards.mkdir()
        for task in outputs["quality"].metadata[table]:
            for path in Path(task).glob("*.parquet"):
                _link(path, shards / path.name)


def metrics_table(folder: Path) -> Table:
    """Lays out the headline metrics."""
    metrics = json.loads((folder / "metrics.json").read_text())
    table = Table(title=f"Spearman on {metrics['rows']:,} test versions of {metrics['sources']:,} source images")
    for heading in ("held-out worker", "level"):
        table.add_column(heading)
    for heading in ("metrifier", "95 % interval", "ceiling", "share"):
        table.add_column(heading, justify="right")

    def number(value: float | None, form: str = ".3f") -> str:
        return "-" if value is None else format(value, form)

    for worker, levels in metrics["workers"].items():
        for level, found in levels.items():
            interval = f"{number(found['low'])} to {number(found['high'])}"
            ceiling, share = number(found["ceiling"]), number(found["share"], ".0%")
            table.add_row(worker, level.replace("_", " "), number(found["rho"]), interval, ceiling, share)
    for baseline, levels in metrics["baselines"].items():
        for level, found in levels.items():
            interval = f"{number(found['low'])} to {number(found['high'])}"
            row = (number(found["rho"]), interval, "", "")
            table.add_row(f"(baseline) {baseline.replace('_', ' ')}", level.replace("_", " "), *row)
    return table
