"""The command line: `metrifier score`, `threshold`, `compare`, `distort` and `workers`."""

import os
import sys
from typing import Annotated

import typer

from metrifier_core._version import __version__
from metrifier_core.cli import compare, distort, score, threshold, workers
from metrifier_core.cli.options import Command

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
for command in (score.score, threshold.threshold, compare.compare):
    app.command(cls=Command)(command)
app.add_typer(distort.app, name="distort")
app.add_typer(workers.app, name="workers")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"metrifier {__version__}")
        raise typer.Exit


@app.callback()
def metrifier(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Predict how well image classifiers will do on images: 0 is not at all, 1 is as well as ever."""


def main() -> None:
    """Run the command line."""
    # TensorFlow's log lines, in case a worker needs it.
    for variable in ("TF_CPP_MIN_LOG_LEVEL", "GLOG_minloglevel"):
        os.environ.setdefault(variable, "2")
    if not sys.stderr.isatty():  # progress bars are for terminals
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    app()
