"""The command line: `metrifier threshold`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metrifier_core.cli.options import (
    STANDARD,
    MatchOption,
    ModelOption,
    RootOption,
    RuntimeOption,
    check_folder,
    list_images,
    load_metrifier,
    read_workers,
    refuse,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metrifier_core.evaluation.judged_images import JudgedImage
    from metrifier_core.scoring.metrifier import Metrifier
    from metrifier_core.sources import SourceItem
    from metrifier_core.statistics import Share, Threshold
    from metrifier_core.workers import Worker

_SEED = 0  # the same images give the same interval


def _open_worker(name: str, catalogue: Path | None) -> "Worker":
    from metrifier_core.workers import MiniatureSpec, create_worker, get_worker

    entries = {} if catalogue is None else read_workers(catalogue)
    try:
        if isinstance(get_worker(name, entries), MiniatureSpec):
            raise ValueError(f"'{name}' is trained on the images of a run: name one that has weights")
        return create_worker(name, entries)
    except ValueError as error:
        refuse(f"--worker: {error}")


def _gate(metrifier: "Metrifier", worker: "Worker", items: "Sequence[SourceItem]") -> "list[JudgedImage]":
    from metrifier_core.evaluation.judged_images import judge_images
    from metrifier_core.execution.progress import progress

    found = judge_images(metrifier, worker, items)
    try:
        return list(progress(found, "score and classify", total=len(items), unit="images", log=False))
    except ValueError as error:
        refuse(f"--worker: {error}")


def _find(usable: "Sequence[JudgedImage]", target_accuracy: float | None, keep: float | None) -> "Threshold":
    import numpy as np

    from metrifier_core.statistics import keep_share, reach_accuracy

    scores = np.array([image.quality for image in usable], np.float64)
    right = np.array([image.right for image in usable], np.bool_)
    if target_accuracy is not None:
        return reach_accuracy(scores, right, target_accuracy, np.random.default_rng(_SEED))
    return keep_share(scores, right, 1.0 if keep is None else keep)


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _print(found: "Threshold", accuracy_of_all: float) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    def others(share: "Share") -> str:
        return f"{_percent(share.expected)} ({_percent(share.low)} to {_percent(share.high)})"

    typer.echo(f"threshold {found.score:.6f}: accept what scores at least this")
    table = Table("", "on these images", "on as many others (95 %)", box=SIMPLE)
    kept = f"{_percent(found.kept.here)} ({found.kept_images} of {found.images})"
    table.add_row("kept", kept, others(found.kept))
    table.add_row("accuracy of what is kept", _percent(found.accuracy.here), others(found.accuracy))
    table.add_row("accuracy of all", _percent(accuracy_of_all), "")
    Console().print(table)


def threshold(
    *,
    model: ModelOption,
    images: Annotated[
        Path,
        typer.Option(
            help="A CSV file of labelled images, with the columns path and label_index (from 0); - is standard input."
        ),
    ],
    worker: Annotated[str, typer.Option(help="The classifier to guard: a known one, or an entry of --workers.")],
    workers: Annotated[Path | None, typer.Option(help="A catalogue: a YAML file with an entry a worker.")] = None,
    target_accuracy: Annotated[
        float | None, typer.Option(min=0, max=1, help="Keep as many images as can be with this accuracy on them.")
    ] = None,
    keep: Annotated[
        float | None, typer.Option(min=0, max=1, help="Or keep this share of the images, and see the accuracy.")
    ] = None,
    root: RootOption = None,
    match: MatchOption = "*",
    limit: Annotated[
        int | None,
        typer.Option(min=20, help="Use at most this many, chosen by a hash of their paths; all where left out."),
    ] = None,
    runtime: RuntimeOption = None,
    output: Annotated[
        str | None, typer.Option(help="Write what was found as JSON, too; - prints it instead of the table.")
    ] = None,
) -> None:
    """Find the score from which on a worker is right often enough.

    Labelled images that the worker was not trained on are scored and classified. What a threshold keeps of them and
    how often the worker is right on that is printed beside what to expect of as many other images, with a 95 %
    interval. The exit status is 1 if the accuracy cannot be reached, and --output then has the threshold null. Images
    that cannot be used are named and left out.

    Examples:
        metrifier threshold --model runs/mine/model --images manifest.csv --worker resnet50 --target-accuracy 0.9

        metrifier threshold --model runs/mine/model --images val.csv --workers workers.yaml --worker mine --keep 0.8
    """
    from metrifier_core.statistics import UnreachableAccuracyError

    if (target_accuracy is None) == (keep is None):
        refuse("give either --target-accuracy or --keep")
    if output is not None:
        check_folder(output)
    items = list_images(images, root, match, limit)
    metrifier = load_metrifier(model, runtime)
    gated = _gate(metrifier, _open_worker(worker, workers), items)
    unusable = {image.image_id: image.error for image in gated if image.error is not None}
    for image_id, reason in unusable.items():
        typer.echo(f"left out {image_id}: {reason}", err=True)
    usable = [image for image in gated if image.error is None]
    described: dict[str, Any] = {
        "threshold": None,
        "target_accuracy": target_accuracy,
        "keep": keep,
        "images": len(usable),
        "unusable": unusable,
        "worker": worker,
        "model": {"name": model, "fingerprint": metrifier.card.fingerprint, "runtime": metrifier.runtime},
    }
    try:
        found = _find(usable, target_accuracy, keep)
    except ValueError as error:
        # An older gate in this place would be taken for the one that was asked for.
        if output is not None:
            write_json(output, {**described, "reason": str(error)})
        typer.echo(str(error), err=True)
        raise typer.Exit(1 if isinstance(error, UnreachableAccuracyError) else 2) from None
    accuracy_of_all = sum(image.right for image in usable) / len(usable)
    if output != STANDARD:
        _print(found, accuracy_of_all)
    if output is not None:
        shares = {"accuracy": asdict(found.accuracy), "kept": asdict(found.kept), "kept_images": found.kept_images}
        write_json(output, {**described, "threshold": found.score, **shares, "accuracy_of_all": accuracy_of_all})
