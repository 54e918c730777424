"""The command line: `metrifier score`, `metrifier compare`, `metrifier distort`, `metrifier workers`."""

import csv
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from metrifier_core import cli_compare, cli_distort, cli_workers
from metrifier_core._version import __version__

if TYPE_CHECKING:
    from metrifier_core.metrifier import Metrifier

__all__ = ["main", "write_scores"]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(cli_distort.app, name="distort")
app.add_typer(cli_workers.app, name="workers")
app.command()(cli_compare.compare)


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


@contextmanager
def _open_output(output: str) -> Iterator[TextIO]:
    if output == "-":
        yield sys.stdout
        return
    try:
        with Path(output).open("w", newline="", encoding="utf-8") as stream:
            yield stream
    except OSError as error:
        typer.echo(f"--output {output}: {error.strerror}", err=True)
        raise typer.Exit(2) from None


def _walk(paths: list[Path]) -> list[Path]:
    """Lists files, and the files below folders."""
    from metrifier_core.sources import list_files

    return [file for path in paths for file in (list_files(path) if path.is_dir() else [path])]


def write_scores(metrifier: "Metrifier", files: Sequence[Path], stream: TextIO) -> int:
    """Writes a table of scores, a row a file.

    Args:
        metrifier: What scores.
        files: Image files.
        stream: Where the table goes, as CSV with the columns path, quality and error.

    Returns:
        How many files could not be scored.
    """
    from metrifier_core.progress import progress

    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["path", "quality", "error"])
    failed = 0
    for found in progress(metrifier.evaluate_many(files), "score", total=len(files), unit="image"):
        failed += found.error is not None
        quality = "" if found.quality is None else f"{found.quality:.6f}"
        # A file's name may be any bytes; the table is UTF-8.
        path = os.fsencode(found.path).decode(errors="backslashreplace")
        writer.writerow([path, quality, found.error or ""])
    return failed


@app.command()
def score(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Image files, and folders of them.")],
    model: Annotated[
        str,
        typer.Option(
            help="The model folder of a run, a file of it, or an MLflow URI such as models:/metrifier@champion."
        ),
    ],
    runtime: Annotated[
        str | None,
        typer.Option(help="tflite, onnx, keras or tflite_int8; the fastest float32 one installed where left out."),
    ] = None,
    output: Annotated[str, typer.Option(help="CSV file with the columns path, quality, error; - prints it.")] = "-",
) -> None:
    """Score images, best 1, worst 0.

    A file that cannot be used gets a row with its error; the others are scored, and the exit status is 1.

    Examples:
        metrifier score photo.jpg --model runs/digits/model

        metrifier score photos/ more/ --model models:/metrifier@champion --output scores.csv
    """
    from metrifier_core.metrifier import Metrifier

    try:
        loaded = Metrifier.load(model, runtime)
    except (ValueError, ImportError) as error:
        typer.echo(f"--model {model}: {error}", err=True)
        raise typer.Exit(2) from None
    files = _walk(paths)
    with _open_output(output) as stream:
        failed = write_scores(loaded, files, stream)
    if not files:
        typer.echo("there are no files to score", err=True)
    if failed:
        typer.echo(f"{failed} of {len(files)} files could not be scored; their errors stand in the table", err=True)
    if failed or not files:
        raise typer.Exit(1)


def main() -> None:
    """Runs the command line."""
    # TensorFlow's own chatter, should a worker need it.
    for variable in ("TF_CPP_MIN_LOG_LEVEL", "GLOG_minloglevel"):
        os.environ.setdefault(variable, "2")
    app()
