"""The command line: `metrifier score`."""

import math
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from metrifier_core.cli import explain as explanations
from metrifier_core.cli.options import STANDARD, ModelOption, RuntimeOption, load_metrifier, open_output, refuse
from metrifier_core.scoring.score_table import ScoreTable, TableFormat


def _read_names() -> Iterator[str]:
    """Yield file names from standard input, one a line, reading no further than asked."""
    for line in sys.stdin.buffer:
        if name := os.fsdecode(line.rstrip(b"\r\n")):
            yield name


def _walk(names: Iterable[str], unlisted: list[OSError]) -> Iterator[str]:
    """Yield the named files, and the files below named folders; collect the errors of folders."""
    from metrifier_core.sources import list_files

    for name in names:
        # Unlike Path.is_dir, it accepts a name that is too long.
        folder = os.path.isdir(name)  # noqa: PTH112
        yield from map(str, list_files(Path(name), unlisted.append)) if folder else [name]


def _find_files(paths: Sequence[str], unlisted: list[OSError]) -> tuple[Iterable[str], int | None]:
    """List the files to score, and their number unless standard input names some."""
    if STANDARD in paths:
        names = (name for path in paths for name in (_read_names() if path == STANDARD else [path]))
        return _walk(names, unlisted), None
    files = list(_walk(paths, unlisted))
    return files, len(files)


def _stdout_is_file() -> bool:
    try:
        return stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except OSError:  # a stream in memory
        return False


def _refuse_nan(threshold: float | None) -> float | None:
    if threshold is not None and math.isnan(threshold):
        raise typer.BadParameter("expected a number from 0 to 1, got nan")
    return threshold


def _report_failures(scored: int, failed: int, unlisted: Sequence[OSError]) -> None:
    """Print what could not be scored, and exit with status 1 if there is anything."""
    for error in unlisted:
        typer.echo(f"{error.filename} could not be listed: {error.strerror}", err=True)
    if not scored:
        typer.echo("there are no files to score", err=True)
    if failed:
        typer.echo(f"{failed} of {scored} files could not be scored; the table has their errors", err=True)
    if failed or unlisted or not scored:
        raise typer.Exit(1)


def score(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Image files and folders; - reads names from standard input.")
    ],
    *,
    model: ModelOption,
    runtime: RuntimeOption = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, callback=_refuse_nan, help="Add a column decision: accept scores from here up, reject others."
        ),
    ] = None,
    output: Annotated[
        str, typer.Option(help="File for the table of path, quality, decision (with --threshold), error; - prints it.")
    ] = STANDARD,
    table_format: Annotated[
        TableFormat | None, typer.Option("--format", help="Default: jsonl if the name of --output ends in it, or csv.")
    ] = None,
    gallery: Annotated[
        str | None, typer.Option(help="Also draw the images from the lowest score to the highest, as one HTML file.")
    ] = None,
    explain: Annotated[
        Path | None, typer.Option(help="Also draw where each image's quality comes from, as pictures in this folder.")
    ] = None,
) -> None:
    """Score images, best 1, worst 0.

    A file that cannot be used gets a row with its error, and with --threshold is rejected. The others are scored, and
    the exit status is 1, as it is if a folder cannot be listed. Names on standard input stand one a line and are read
    only a little ahead.

    Examples:
        metrifier score photo.jpg --model runs/digits/model

        metrifier score photos/ more/ --model models:/metrifier@champion --output scores.csv

        metrifier score photos/ --model runs/digits/model --threshold 0.6 --gallery gallery.html --output scores.jsonl

        metrifier score photos/ --model runs/digits/model --explain maps

        find photos -newer last.jpg -type f | metrifier score - --model runs/digits/model --format jsonl
    """
    from metrifier_core.execution.progress import progress

    if gallery == output:
        refuse(f"--gallery {gallery}: the table goes there already, name another file with --output")
    if table_format is None:
        table_format = TableFormat.JSONL if output.endswith(".jsonl") else TableFormat.CSV
    metrifier = load_metrifier(model, runtime)
    if explain is not None:
        explanations.make_folder(explain)
    unlisted: list[OSError] = []
    files, total = _find_files(paths, unlisted)
    scores = metrifier.score_many(files)
    # A bar would tear rows that are printed, or that leave a pipe on the same terminal.
    if output != STANDARD or _stdout_is_file():
        scores = iter(progress(scores, "score", total=total, unit="images", log=False))
    scored = failed = 0
    with ExitStack() as outputs:
        table = ScoreTable(outputs.enter_context(open_output("--output", output)), table_format, threshold)
        drawing = None
        if gallery is not None:
            from metrifier_core.report.gallery import Gallery

            drawing = Gallery(threshold)
            page = outputs.enter_context(open_output("--gallery", gallery))
        for file_score in scores:
            table.write(file_score)
            scored += 1
            failed += file_score.error is not None
            if drawing is not None:
                drawing.add(file_score)
            if explain is not None and file_score.error is None:
                explanations.write_explanation(metrifier, file_score.path, explain)
        if drawing is not None and gallery is not None:
            page.write(drawing.render(Path() if gallery == STANDARD else Path(gallery).parent))
    _report_failures(scored, failed, unlisted)
