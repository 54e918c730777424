"""What the commands share: their help, how they refuse, and the options that several of them take."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from metrifier_core.scoring.metrifier import Metrifier
    from metrifier_core.sources import SourceItem
    from metrifier_core.workers import WorkerSpec

STANDARD = "-"
"""What stands for standard input or output in the place of a path."""

ModelOption = Annotated[
    str,
    typer.Option(help="The model folder of a run, a file of it, or an MLflow URI such as models:/metrifier@champion."),
]
RuntimeOption = Annotated[
    str | None,
    typer.Option(help="tflite, onnx, keras or tflite_int8; the fastest float32 one installed where left out."),
]
RootOption = Annotated[
    Path | None,
    typer.Option(
        help="What the CSV's paths are relative to; where left out, the folder images beside it, else its own."
    ),
]
MatchOption = Annotated[str, typer.Option(help="Use those images alone whose path matches this pattern.")]


class Command(TyperCommand):
    """A command whose help flows: typer joins the lines of a docstring's first paragraph alone."""

    def __init__(self, *args: Any, help: str | None = None, **kwargs: Any) -> None:  # noqa: A002
        """Joins the lines of each paragraph; those of examples, which are indented, stay."""
        super().__init__(*args, help=help and re.sub(r"(?<=\S)\n(?=\S)", " ", help), **kwargs)


def refuse(message: object) -> NoReturn:
    """Says why on standard error, and ends the command with the exit status 2."""
    typer.echo(str(message), err=True)
    raise typer.Exit(2)


def load_metrifier(model: str, runtime: str | None) -> "Metrifier":
    """Loads what --model and --runtime name."""
    from metrifier_core.scoring.metrifier import Metrifier

    try:
        return Metrifier.load(model, runtime)
    except (ValueError, ImportError) as error:
        refuse(f"--model {model}: {error}")


def read_workers(path: Path) -> "dict[str, WorkerSpec]":
    """Reads a catalogue."""
    from metrifier_core.workers import read_catalogue

    try:
        return read_catalogue(path)
    except ValueError as error:
        refuse(f"{path}: {error}")


def list_images(manifest: Path, root: Path | None, match: str, images: int | None) -> "list[SourceItem]":
    """Lists images of a manifest in an order that has nothing to do with their labels.

    Args:
        manifest: A CSV file with the columns path and label_index; `-` is standard input.
        root: What its paths are relative to; the folder `images` beside it, or its own, where None. Of standard input
            that is the current folder.
        match: Shell pattern of the paths that are used.
        images: How many are used at most; all where None.
    """
    from fnmatch import fnmatchcase

    from metrifier_core.sources import ManifestSource, SourceError, list_items

    if root is None:
        beside = manifest.parent / "images"
        root = beside if beside.is_dir() else manifest.parent
    shown = "standard input" if str(manifest) == STANDARD else str(manifest)
    with _as_file(manifest) as file:
        try:
            items = list_items(ManifestSource(kind="manifest", manifest=str(file), root=str(root)))
        except SourceError as error:
            option = "--root: " if error.setting == "root" else ""
            refuse(f"--images: {option}{error.reason.replace(str(file), shown)}")
    if not items:
        refuse(f"--images: {shown} names no images")
    chosen = [item for item in items if fnmatchcase(item.image_id, match)][:images]
    if not chosen:
        refuse(f"--match {match}: there is no such image in {shown}")
    return chosen


@contextmanager
def _as_file(manifest: Path) -> Iterator[Path]:
    """Gives standard input the place of a file, for as long as it is read."""
    if str(manifest) != STANDARD:
        yield manifest
        return
    with NamedTemporaryFile(suffix=".csv") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield Path(copy.name)


@contextmanager
def open_output(option: str, output: str) -> Iterator[TextIO]:
    """Opens a file for text, or standard output for `-`."""
    if output == STANDARD:
        yield sys.stdout
        return
    try:
        with Path(output).open("w", newline="", encoding="utf-8") as stream:
            yield stream
    except BrokenPipeError:  # of standard output, while this file is open
        raise
    except OSError as error:
        refuse(f"{option} {output}: {error.strerror}")


def check_folder(output: str) -> None:
    """Refuses an --output whose folder is not there before any work is done for it."""
    folder = Path(output).parent
    if not folder.is_dir():
        refuse(f"--output {output}: there is no folder {folder}")


def write_json(output: str, found: Any) -> None:
    """Writes what was found to --output."""
    with open_output("--output", output) as stream:
        stream.write(json.dumps(found, indent=2) + "\n")
