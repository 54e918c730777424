"""Runs the pipeline on this machine: `python -m pipelines.local CONFIG [key=value ...]`."""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.table import Table

import metrifier_core
from metrifier_core.config import ConfigError, RunConfig, load_config
from metrifier_core.progress import LINE_PREFIX
from metrifier_core.sources import list_items
from metrifier_core.stages.running import PARTIAL_VARIABLE
from metrifier_core.workers import ExportedSpec, load_weights_file

__all__ = ["RunFailed", "app", "check_inputs", "run_locally"]

_CACHE = ".kfp_cache"
_RUN_ID_VARIABLE = "METRIFIER_RUN_ID"
_SOURCE_FOLDERS = ("metrifier_core", "components", "pipelines")


class RunFailed(RuntimeError):
    """A pipeline that did not get to its end; the message has the stage and its reason."""


class _StageLines(io.TextIOBase):
    """Keeps the whole log in a file and passes on the lines that stages say about themselves."""

    def __init__(self, log: TextIO, terminal: TextIO) -> None:
        self._log = log
        self._terminal = terminal
        self._started = time.monotonic()
        self._rest = ""
        self.failures: list[str] = []

    def write(self, text: str) -> int:
        self._log.write(text)
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            said = line.strip()
            if said.startswith(LINE_PREFIX):
                said = said.removeprefix(LINE_PREFIX)
                if ": failed: " in said:
                    self.failures.append(said)
                minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
                self._terminal.write(f"[{minutes:02d}:{seconds:02d}] {said}\n")
                self._terminal.flush()
        return len(text)

    def flush(self) -> None:
        self._log.flush()


def check_inputs(config: RunConfig) -> None:
    """Looks at everything that the run will read, so that a long one does not fail late.

    Raises:
        ConfigError: A source or a weights file is missing or is another one; the message names the key.
    """
    try:
        if not list_items(config.source):
            raise ConfigError("source: there are no images")
        for name, spec in config.workers.catalogue.items():
            if isinstance(spec, ExportedSpec):
                load_weights_file(name, spec)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _code_digest() -> str:
    """Identifies the code, so that what other code made is never taken for this one's."""
    digest = hashlib.sha256()
    root = Path(metrifier_core.__file__).parents[1]
    for folder in _SOURCE_FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _only_run(folder: Path) -> Iterator[None]:
    """Keeps a second run out of the folder of one that is going on; a killed run lets go by itself."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunFailed(
                f"another run is going on in {folder}; wait for it, or set another name=..."
            ) from None
        yield


def _link(target: Path, name: Path) -> None:
    """Points a name at what a task made, whatever stood there before."""
    temporary = name.with_name(f".{name.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, name.parent))
    temporary.replace(name)


def _publish(outputs: Mapping[str, Any], folder: Path) -> None:
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


def run_locally(config: RunConfig, runs: Path, *, fresh: bool = False, terminal: TextIO = sys.stdout) -> Path:
    """Runs the pipeline in child processes, taking up what an earlier run of the same name had finished.

    Args:
        config: What to run.
        runs: The folder of all runs.
        fresh: Whether to forget what an earlier run had finished.
        terminal: Where the stages' progress is written.

    Returns:
        The run's folder.

    Raises:
        RunFailed: A stage failed, or another run is going on in the folder.
    """
    with warnings.catch_warnings():
        # KFP warns of its own use of deprecated names.
        warnings.simplefilter("ignore")
        from kfp import local

        from pipelines.metrifier_pipeline import build_pipeline

    folder = (runs / config.name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    tasks = folder / "tasks"
    partial = folder / "partial"
    with _only_run(folder), (folder / "log.txt").open("a", encoding="utf-8") as log:
        if fresh:
            for stale in (tasks, partial):
                shutil.rmtree(stale, ignore_errors=True)
        code = _code_digest()
        settings = json.dumps(config.model_dump(mode="json"), sort_keys=True)
        identity = hashlib.sha256(f"{code}{settings}".encode()).hexdigest()[:12]
        os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        os.environ[PARTIAL_VARIABLE] = str(partial)
        os.environ[_RUN_ID_VARIABLE] = f"{config.name}-{identity}"
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tasks), enable_caching=True)
        lines = _StageLines(log, terminal)
        try:
            with contextlib.redirect_stdout(lines), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pipeline = build_pipeline(f"metrifier-python:{metrifier_core.__version__}-{code}")
                outputs = pipeline(**config.pipeline_arguments()).outputs
        except RuntimeError as error:
            reason = "; ".join(lines.failures) or str(error)
            raise RunFailed(f"{reason}\nThe whole log: {folder / 'log.txt'}") from error
        _publish(outputs, folder)
    return folder


def _metrics_table(folder: Path) -> Table:
    """Lays out the headline metrics."""
    metrics = json.loads((folder / "metrics.json").read_text())
    table = Table(
        title=f"Spearman on {metrics['rows']:,} test versions of {metrics['sources']:,} source images"
    )
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


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[Path, typer.Argument(help="a YAML file such as configs/digits.yaml")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="settings that stand above the file")
    ] = None,
    *,
    runs: Annotated[Path, typer.Option(help="the folder of all runs")] = Path("runs"),
    fresh: Annotated[
        bool, typer.Option("--fresh", help="forget what an earlier run of this name finished")
    ] = False,
) -> None:
    """Run the whole pipeline of a CONFIG on this machine, into runs/NAME.

    Run again, it goes on where it was: finished tasks and shards are not done again.

    Examples:

      python -m pipelines.local configs/digits.yaml

      python -m pipelines.local configs/digits.yaml name=quick metrifier.epochs=2 source.max_sources=400
    """
    console = Console()
    try:
        loaded = load_config(config, overrides or [])
        check_inputs(loaded)
    except ConfigError as error:
        typer.echo(f"{config}: nothing was run, the config is wrong:\n{error}", err=True)
        raise typer.Exit(2) from None
    try:
        folder = run_locally(loaded, runs, fresh=fresh)
    except RunFailed as error:
        typer.echo(f"failed: {error}\nRun the same command again to go on from here.", err=True)
        raise typer.Exit(1) from None
    console.print(_metrics_table(folder))
    shown = os.path.relpath(folder)
    database = os.environ["MLFLOW_TRACKING_URI"].replace(str(folder), shown)
    typer.echo(f"Report:          {shown}/report.html")
    typer.echo(f"MLflow UI:       .venv/bin/mlflow ui --backend-store-uri {database}")
    typer.echo(f"Score an image:  .venv/bin/metrifier score IMAGE --model {shown}/model")


if __name__ == "__main__":
    app()
