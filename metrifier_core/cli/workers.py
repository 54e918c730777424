"""The command line: `metrifier workers`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metrifier_core.cli.options import (
    STANDARD,
    Command,
    MatchOption,
    RootOption,
    check_folder,
    list_images,
    read_workers,
    refuse,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from metrifier_core.statistics import Accuracy
    from metrifier_core.workers import WorkerSpec
    from metrifier_core.workers.verification import Verification

app = typer.Typer(no_args_is_help=True, help="Look at classifiers before their losses become labels.")

_TABLE_WIDTH = 120


def _print(table: "Table") -> None:
    from rich.console import Console

    # Cut figures help nobody: a narrower terminal wraps the table.
    console = Console()
    console.width = max(_TABLE_WIDTH, console.width)
    console.print(table)


@app.command("list", cls=Command)
def list_workers(
    catalogue: Annotated[Path | None, typer.Argument(help="A YAML file with entries of your own.")] = None,
) -> None:
    """List the workers that a config can name, family by family; AlexNet with the entry that `import-alexnet` prints.

    Example:
        metrifier workers list workers.yaml
    """
    from rich.markup import escape
    from rich.table import Column, Table

    from metrifier_core.workers import KNOWN_WORKERS, find_location

    known: dict[str, WorkerSpec] = {**KNOWN_WORKERS, **({} if catalogue is None else read_workers(catalogue))}
    # Names stay on one line, for those who search.
    table = Table(
        *(Column(title, no_wrap=True) for title in ("family", "worker", "format")),
        Column("weights", overflow="fold"),
        Column("licence", overflow="fold", min_width=10),
    )
    for name, spec in sorted(known.items(), key=lambda entry: (entry[1].family.lower(), entry[0])):
        table.add_row(*map(escape, (spec.family, name, spec.format, find_location(spec), spec.licence)))
    _print(table)


def _percent(accuracy: "Accuracy | None") -> str:
    return "-" if accuracy is None else f"{accuracy.share:.1%} ({accuracy.low:.1%} to {accuracy.high:.1%})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _print_verifications(verifications: "Sequence[Verification]") -> None:
    from rich.markup import escape
    from rich.table import Column, Table

    titles = ("worker", "images", "top-1 (95 %)", "top-5 (95 %)", "temperature", "ms", "")
    table = Table(*(Column(title, overflow="fold") for title in titles))
    for found in verifications:
        table.add_row(
            escape(found.name),
            str(found.images),
            _percent(found.top1),
            _percent(found.top5),
            _number(found.temperature),
            _number(found.milliseconds),
            "FAULTY" if found.faults else "ok",
        )
    _print(table)
    for found in verifications:
        for fault in found.faults:
            typer.echo(f"{found.name}: {fault}")
    rejected = {image: reason for found in verifications for image, reason in found.rejected.items()}
    for image, reason in rejected.items():
        typer.echo(f"left out {image}: {reason}", err=True)


@app.command(cls=Command)
def verify(
    catalogue: Annotated[Path, typer.Argument(help="A YAML file with an entry a worker.")],
    *,
    images: Annotated[
        Path,
        typer.Option(
            help="A CSV file of labelled images, with the columns path and label_index (from 0); - is standard input."
        ),
    ],
    root: RootOption = None,
    match: MatchOption = "*",
    limit: Annotated[int, typer.Option("--limit", min=20, help="Use at most this many, evenly chosen.")] = 1000,
    worker: Annotated[list[str] | None, typer.Option(help="Only this one, or a known one; may be given again.")] = None,
    output: Annotated[
        str | None, typer.Option(help="Write what was found as JSON, too; - prints it instead of the table.")
    ] = None,
) -> None:
    """Verify workers on labelled images: checksum, answers, accuracy, preprocessing and class order.

    Every worker is tried in both channel orders, under common scalings and with its classes shifted by one: where
    another setting is right on 5 % more of the images, the worker is faulty, and the setting is named. The exit status
    is 1 if any worker is faulty.

    Examples:
        metrifier workers verify workers.yaml --images manifest.csv

        metrifier workers verify workers.yaml --images manifest.csv --match 'val/*' --worker mine --limit 5000
    """
    from dataclasses import asdict

    from metrifier_core.workers import get_worker
    from metrifier_core.workers.verification import verify_worker

    entries = read_workers(catalogue)
    try:
        chosen = {name: get_worker(name, entries) for name in worker or entries}
    except ValueError as error:
        refuse(f"--worker: {error}")
    if output is not None:
        check_folder(output)
    items = list_images(images, root, match, limit)
    verifications = [verify_worker(name, spec, items) for name, spec in chosen.items()]
    if output != STANDARD:
        _print_verifications(verifications)
    if output is not None:
        write_json(output, {verification.name: asdict(verification) for verification in verifications})
    if any(verification.faults for verification in verifications):
        raise typer.Exit(1)


@app.command(cls=Command)
def import_alexnet(
    state: Annotated[
        Path, typer.Argument(metavar="FILE", help="torchvision's alexnet-owt-7be5be79.pth, or it as .safetensors.")
    ],
    *,
    output: Annotated[Path, typer.Option(help="Where the Keras weights go; ends in .weights.h5.")] = Path(
        "alexnet.weights.h5"
    ),
    sha256: Annotated[
        str | None, typer.Option(help="SHA-256 of FILE; needed for a file that torchvision did not publish itself.")
    ] = None,
) -> None:
    """Convert torchvision's AlexNet to Keras, and print its entry for a catalogue.

    A .pth file is read by torch, if it is installed, as names and arrays alone; a .safetensors file needs no torch.

    Examples:
        metrifier workers import-alexnet alexnet-owt-7be5be79.pth

        metrifier workers import-alexnet alexnet.safetensors --sha256 0123... --output weights/alexnet.weights.h5
    """
    from metrifier_core.execution.checksums import file_sha256
    from metrifier_core.workers.alexnet import check_published, convert_state, read_state

    if not output.name.endswith(".weights.h5"):
        refuse(f"--output {output}: has to end in .weights.h5")
    if not state.is_file():
        refuse(f"there is no file {state}")
    try:
        source = check_published(state, sha256)
        model = convert_state(read_state(state))
    except ValueError as error:
        refuse(error)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        model.save_weights(output)
    except OSError as error:
        refuse(f"--output {output}: {error.strerror or error}")
    entry = {
        "format": "alexnet",
        "family": "AlexNet",
        "weights": str(output.resolve()),
        "sha256": file_sha256(output),
        "source": f"torchvision, {state.name}",
        "licence": "BSD-3-Clause",
    }
    # JSON's strings are YAML's, whatever stands in them.
    lines = "".join(f"\n  {key}: {json.dumps(value)}" for key, value in entry.items())
    typer.echo(f"# from {state.name}, SHA-256 {source}\nalexnet:{lines}")
