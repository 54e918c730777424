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
    """Reads file names from standard input, one a line, no sooner than they are asked for."""
    for line in sys.stdin.buffer:
        name = os.fsdecode(line.rstrip(b"\r\n"))
        if name:
            yield name


def _files(names: Iterable[str], passed_over: list[OSError]) -> Iterator[str]:
    """Lists files by the names that they were given, and the files below folders."""
    from metrifier_core.sources import list_files

    for name in names:
        try:
            folder = Path(name).is_dir()
        except OSError:  # a name that is too long; reading it says so
            folder = False
        yield from map(str, list_files(Path(name), passed_over.append)) if folder else [name]


def _find_files(paths: Sequence[str], passed_over: list[OSError]) -> tuple[Iterable[str], int | None]:
    """Lists what is to be scored, and counts it where standard input has no part in it."""
    if STANDARD in paths:
        names = (name for path in paths for name in (_read_names() if path == STANDARD else [path]))
        return _files(names, passed_over), None
    files = list(_files(paths, passed_over))
    return files, len(files)


def _writes_a_file() -> bool:
    """Whether standard output goes into a file, and so neither to a terminal nor through a pipe."""
    try:
        return stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except OSError:  # standard output of another program, in memory
        return False


def _refuse_nan(threshold: float | None) -> float | None:
    if threshold is not None and math.isnan(threshold):
        raise typer.BadParameter("nan is no number from 0 to 1")
    return threshold


def _tell(scored: int, failed: int, passed_over: Sequence[OSError]) -> None:
    """Says what has no score, and ends the command where there is any."""
    for error in passed_over:
        typer.echo(f"{error.filename} could not be listed: {error.strerror}", err=True)
    if not scored:
        typer.echo("there are no files to score", err=True)
    if failed:
        typer.echo(f"{failed} of {scored} files could not be scored; their errors stand in the table", err=True)
    if failed or passed_over or not scored:
        raise typer.Exit(1)


def score(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Image files, and folders of them; - reads names from standard input."),
    ],
    *,
    model: ModelOption,
    runtime: RuntimeOption = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            callback=_refuse_nan,
            help="Add a column decision: accept what scores at least this, reject the rest.",
        ),
    ] = None,
    output: Annotated[
        str, typer.Option(help="Where the table goes: path, quality, decision if asked for, error; - prints it.")
    ] = STANDARD,
    table_format: Annotated[
        TableFormat | None,
        typer.Option("--format", help="jsonl for an output that ends in it, csv otherwise, where left out."),
    ] = None,
    gallery: Annotated[
        str | None, typer.Option(help="Also draw the images from the lowest score to the highest, as one HTML file.")
    ] = None,
    explain: Annotated[
        Path | None, typer.Option(help="Also draw where each image's quality comes from, as pictures in this folder.")
    ] = None,
) -> None:
    """Score images, best 1, worst 0.

    A file that cannot be used gets a row with its error, and with --threshold is rejected; the others are scored, and
    the exit status is 1; so it is where a folder cannot be listed. Names on standard input stand one a line, and are
    read only a little ahead.

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
    passed_over: list[OSError] = []
    files, total = _find_files(paths, passed_over)
    found = metrifier.score_many(files)
    # Rows that are printed, or that come out of a pipe onto the same terminal, would be torn by a bar.
    if output != STANDARD or _writes_a_file():
        found = iter(progress(found, "score", total=total, unit="images", log=False))
    scored = failed = 0
    with ExitStack() as outputs:
        table = ScoreTable(outputs.enter_context(open_output("--output", output)), table_format, threshold)
        drawing = None
        if gallery is not None:
            from metrifier_core.report.gallery import Gallery

            drawing = Gallery(threshold)
            page = outputs.enter_context(open_output("--gallery", gallery))
        for own in found:
            table.write(own)
            scored += 1
            failed += own.error is not None
            if drawing is not None:
                drawing.add(own)
            if explain is not None and own.error is None:
                explanations.write_explanation(metrifier, own.path, explain)
        if drawing is not None and gallery is not None:
            page.write(drawing.render(Path() if gallery == STANDARD else Path(gallery).parent))
    _tell(scored, failed, passed_over)
