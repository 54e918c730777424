"""What the commands share: options, their help, and how they read, write and exit."""

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
    from rich.table import Table

    from metrifier_core.scoring.metrifier import Metrifier
    from metrifier_core.sources import SourceItem
    from metrifier_core.workers import WorkerSpec

STANDARD = "-"
"""Stands for standard input or output in place of a path."""

_TABLE_WIDTH = 120

ModelOption = Annotated[
    str, typer.Option(help="A run's model folder, a file in it, or an MLflow URI such as models:/metrifier@champion.")
]
RuntimeOption = Annotated[
    str | None, typer.Option(help="tflite, onnx, keras or tflite_int8. Default: the fastest float32 one installed.")
]
ImagesOption = Annotated[
    Path,
    typer.Option(help="A CSV file of labelled images: columns path and label_index (from 0); - reads standard input."),
]
RootOption = Annotated[
    Path | None,
    typer.Option(help="Folder of the CSV's paths. Default: the folder images beside the CSV, or else the CSV's own."),
]
MatchOption = Annotated[str, typer.Option(help="Use only images whose path matches this pattern.")]
JsonOption = Annotated[
    str | None, typer.Option("--output", help="Also write the results as JSON; - prints them instead of the table.")
]


class Command(TyperCommand):
    """A command whose help fills its lines; typer itself joins only the lines of the first paragraph."""

    def __init__(self, *args: Any, help: str | None = None, **kwargs: Any) -> None:  # noqa: A002
        """Join the lines of each paragraph, except the indented lines of examples."""
        super().__init__(*args, help=help and re.sub(r"(?<=\S)\n(?=\S)", " ", help), **kwargs)


def refuse(message: object) -> NoReturn:
    """Print a message on standard error and exit with status 2."""
    typer.echo(str(message), err=True)
    raise typer.Exit(2)


def load_metrifier(model: str, runtime: str | None) -> "Metrifier":
    """Load the metrifier of --model and --runtime, or exit."""
    from metrifier_core.scoring.metrifier import Metrifier

    try:
        return Metrifier.load(model, runtime)
    except (ValueError, ImportError) as error:
        refuse(f"--model {model}: {error}")


def read_workers(path: Path | None) -> "dict[str, WorkerSpec]":
    """Read a catalogue, or exit; None is an empty one."""
    from metrifier_core.workers import read_catalogue

    try:
        return {} if path is None else read_catalogue(path)
    except ValueError as error:
        refuse(f"{path}: {error}")


def list_images(manifest: Path, root: Path | None, match: str, images: int | None) -> "list[SourceItem]":
    """List the images of --images, --root, --match and --limit in an order that ignores their labels, or exit."""
    from fnmatch import fnmatchcase

    from metrifier_core.sources import ManifestSource, SourceError, list_items

    if root is None:
        beside = manifest.parent / "images"
        root = beside if beside.is_dir() else manifest.parent
    name = "standard input" if str(manifest) == STANDARD else str(manifest)
    with _as_file(manifest) as file:
        try:
            items = list_items(ManifestSource(kind="manifest", manifest=str(file), root=str(root)))
        except SourceError as error:
            option = "--root: " if error.setting == "root" else ""
            refuse(f"--images: {option}{error.reason.replace(str(file), name)}")
    if not items:
        refuse(f"--images: {name} names no images")
    chosen = [item for item in items if fnmatchcase(item.image_id, match)][:images]
    if not chosen:
        refuse(f"--match {match}: there is no such image in {name}")
    return chosen


@contextmanager
def _as_file(manifest: Path) -> Iterator[Path]:
    """Copy standard input to a temporary file."""
    if str(manifest) != STANDARD:
        yield manifest
        return
    with NamedTemporaryFile(suffix=".csv") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield Path(copy.name)


@contextmanager
def writing(option: str, path: object) -> Iterator[None]:
    """Exit if what an option names cannot be written."""
    try:
        yield
    except BrokenPipeError:  # of standard output, while the file is open
        raise
    except OSError as error:
        refuse(f"{option} {path}: {error.strerror or error}")


@contextmanager
def open_output(option: str, output: str) -> Iterator[TextIO]:
    """Open a text file, or standard output for `-`; exit if the file cannot be written."""
    if output == STANDARD:
        yield sys.stdout
        return
    with writing(option, output), Path(output).open("w", newline="", encoding="utf-8") as stream:
        yield stream


def check_folder(output: str | None) -> None:
    """Exit if the folder of --output is missing, before any work is done."""
    if output is not None and not (folder := Path(output).parent).is_dir():
        refuse(f"--output {output}: there is no folder {folder}")


def write_json(output: str | None, results: Any) -> None:
    """Write results to --output, if it is given."""
    if output is not None:
        with open_output("--output", output) as stream:
            stream.write(json.dumps(results, indent=2) + "\n")


def print_table(table: "Table") -> None:
    """Print a table; a terminal narrower than 120 columns wraps its lines rather than cut its cells."""
    from rich.console import Console

    console = Console()
    console.width = max(_TABLE_WIDTH, console.width)
    console.print(table)
