"""The command line: `metrifier workers`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metrifier_core.cli.options import (
    STANDARD,
    Command,
    ImagesOption,
    JsonOption,
    MatchOption,
    RootOption,
    check_folder,
    list_images,
    print_table,
    read_workers,
    refuse,
    write_json,
    writing,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metrifier_core.statistics import Accuracy
    from metrifier_core.workers.verification import Verification

app = typer.Typer(no_args_is_help=True, help="Check classifiers before their losses become labels.")


@app.command("list", cls=Command)
def list_workers(
    catalogue: Annotated[Path | None, typer.Argument(help="A YAML file with entries of your own.")] = None,
) -> None:
    """List the workers that a config can name, by family; AlexNet needs the entry that `import-alexnet` prints.

    Example:
        metrifier workers list workers.yaml
    """
    from rich.markup import escape
    from rich.table import Column, Table

    from metrifier_core.workers import KNOWN_WORKERS, find_location

    # Names stay on one line, so that a search finds them.
    table = Table(
        *(Column(title, no_wrap=True) for title in ("family", "worker", "format")),
        Column("weights", overflow="fold"),
        Column("licence", overflow="fold", min_width=10),
    )
    specs = {**KNOWN_WORKERS, **read_workers(catalogue)}
    for name, spec in sorted(specs.items(), key=lambda entry: (entry[1].family.lower(), entry[0])):
        table.add_row(*map(escape, (spec.family, name, spec.format, find_location(spec), spec.licence)))
    print_table(table)


def _percent(accuracy: "Accuracy | None") -> str:
    return "-" if accuracy is None else f"{accuracy.share:.1%} ({accuracy.low:.1%} to {accuracy.high:.1%})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _print(verifications: "Sequence[Verification]") -> None:
    from rich.markup import escape
    from rich.table import Column, Table

    titles = ("worker", "images", "top-1 (95 %)", "top-5 (95 %)", "temperature", "ms", "")
    table = Table(*(Column(title, overflow="fold") for title in titles))
    for verified in verifications:
        table.add_row(
            escape(verified.name),
            str(verified.images),
            _percent(verified.top1),
            _percent(verified.top5),
            _number(verified.temperature),
            _number(verified.milliseconds),
            "FAULTY" if verified.faults else "ok",
        )
    print_table(table)
    for verified in verifications:
        for fault in verified.faults:
            typer.echo(f"{verified.name}: {fault}")
    rejected = {image: reason for verified in verifications for image, reason in verified.rejected.items()}
    for image, reason in rejected.items():
        typer.echo(f"left out {image}: {reason}", err=True)


@app.command(cls=Command)
def verify(
    catalogue: Annotated[Path, typer.Argument(help="A YAML file with an entry for each worker.")],
    *,
    images: ImagesOption,
    root: RootOption = None,
    match: MatchOption = "*",
    limit: Annotated[int, typer.Option(min=20, help="Use at most this many images, chosen evenly.")] = 1000,
    worker: Annotated[
        list[str] | None, typer.Option(help="Verify only this entry or known worker; may be repeated.")
    ] = None,
    output: JsonOption = None,
) -> None:
    """Verify workers on labelled images: checksum, answers, accuracy, preprocessing and class order.

    Every worker is tried with both channel orders, common scalings and its classes shifted by one. If another setting
    is right on 5 % more of the images, the worker is faulty, and the setting is named. The exit status is 1 if any
    worker is faulty.

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
    check_folder(output)
    items = list_images(images, root, match, limit)
    verifications = [verify_worker(name, spec, items) for name, spec in chosen.items()]
    if output != STANDARD:
        _print(verifications)
    write_json(output, {verified.name: asdict(verified) for verified in verifications})
    if any(verified.faults for verified in verifications):
        raise typer.Exit(1)


@app.command(cls=Command)
def import_alexnet(
    state: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="torchvision's alexnet-owt-7be5be79.pth, or the same as .safetensors."),
    ],
    *,
    output: Annotated[Path, typer.Option(help="File for the Keras weights; must end in .weights.h5.")] = Path(
        "alexnet.weights.h5"
    ),
    sha256: Annotated[
        str | None, typer.Option(help="SHA-256 of FILE; required unless torchvision published the file.")
    ] = None,
) -> None:
    """Convert torchvision's AlexNet to Keras, and print its entry for a catalogue.

    A .pth file needs torch, which reads only names and arrays from it; a .safetensors file does not.

    Examples:
        metrifier workers import-alexnet alexnet-owt-7be5be79.pth

        metrifier workers import-alexnet alexnet.safetensors --sha256 0123... --output weights/alexnet.weights.h5
    """
    from metrifier_core.execution.checksums import file_sha256
    from metrifier_core.workers.alexnet import check_published, convert_state, read_state

    if not output.name.endswith(".weights.h5"):
        refuse(f"--output {output}: expected a name that ends in .weights.h5")
    if not state.is_file():
        refuse(f"there is no file {state}")
    try:
        source = check_published(state, sha256)
        model = convert_state(read_state(state))
    except ValueError as error:
        refuse(error)
    with writing("--output", output):
        output.parent.mkdir(parents=True, exist_ok=True)
        model.save_weights(output)
    entry = {
        "format": "alexnet",
        "family": "AlexNet",
        "weights": str(output.resolve()),
        "sha256": file_sha256(output),
        "source": f"torchvision, {state.name}",
        "licence": "BSD-3-Clause",
    }
    # Every JSON string is a YAML string.
    lines = "".join(f"\n  {key}: {json.dumps(value)}" for key, value in entry.items())
    typer.echo(f"# from {state.name}, SHA-256 {source}\nalexnet:{lines}")
