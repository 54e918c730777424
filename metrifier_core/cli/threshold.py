"""The command line: `metrifier threshold`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metrifier_core.cli.options import (
    STANDARD,
    ImagesOption,
    JsonOption,
    MatchOption,
    ModelOption,
    RootOption,
    RuntimeOption,
    check_folder,
    list_images,
    load_metrifier,
    print_table,
    read_workers,
    refuse,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metrifier_core.evaluation.judged_images import JudgedImage
    from metrifier_core.statistics import Share, Threshold
    from metrifier_core.workers import Worker

_SEED = 0  # the same images give the same interval


def _open_worker(name: str, catalogue: Path | None) -> "Worker":
    from metrifier_core.workers import MiniatureSpec, create_worker, get_worker

    entries = read_workers(catalogue)
    try:
        if isinstance(get_worker(name, entries), MiniatureSpec):
            raise ValueError(f"'{name}' is trained on the images of a run: expected a worker that has weights")
        return create_worker(name, entries)
    except ValueError as error:
        refuse(f"--worker: {error}")


def _find(usable: "Sequence[JudgedImage]", target_accuracy: float | None, keep: float) -> "Threshold":
    import numpy as np

    from metrifier_core.statistics import keep_share, reach_accuracy

    scores = np.array([image.quality for image in usable], np.float64)
    right = np.array([image.right for image in usable], np.bool_)
    if target_accuracy is not None:
        return reach_accuracy(scores, right, target_accuracy, np.random.default_rng(_SEED))
    return keep_share(scores, right, keep)


def _print(threshold: "Threshold", accuracy_of_all: float) -> None:
    from rich.box import SIMPLE
    from rich.table import Table

    def others(share: "Share") -> str:
        return f"{share.expected:.1%} ({share.low:.1%} to {share.high:.1%})"

    typer.echo(f"threshold {threshold.score:.6f}: accept what scores at least this")
    table = Table("", "on these images", "on as many others (95 %)", box=SIMPLE)
    kept = f"{threshold.kept.here:.1%} ({threshold.kept_images} of {threshold.images})"
    table.add_row("kept", kept, others(threshold.kept))
    table.add_row("accuracy of what is kept", f"{threshold.accuracy.here:.1%}", others(threshold.accuracy))
    table.add_row("accuracy of all", f"{accuracy_of_all:.1%}", "")
    print_table(table)


def threshold(
    *,
    model: ModelOption,
    images: ImagesOption,
    worker: Annotated[str, typer.Option(help="The classifier to guard: a known one, or an entry of --workers.")],
    workers: Annotated[
        Path | None, typer.Option(help="A catalogue: a YAML file with an entry for each worker.")
    ] = None,
    target_accuracy: Annotated[
        float | None, typer.Option(min=0, max=1, help="Keep as many images as possible at this accuracy.")
    ] = None,
    keep: Annotated[
        float | None, typer.Option(min=0, max=1, help="Or keep this share of the images, and see the accuracy.")
    ] = None,
    root: RootOption = None,
    match: MatchOption = "*",
    limit: Annotated[
        int | None, typer.Option(min=20, help="Use at most this many images, chosen by a hash of their paths.")
    ] = None,
    runtime: RuntimeOption = None,
    output: JsonOption = None,
) -> None:
    """Find the score from which on a worker is right often enough.

    Give labelled images that the worker was not trained on: they are scored and classified. The share that a threshold
    keeps, and the worker's accuracy on it, are printed beside what to expect of as many other images, with a 95 %
    interval. If the accuracy cannot be reached, the exit status is 1 and --output has a threshold of null. Images that
    cannot be used are named and left out.

    Examples:
        metrifier threshold --model runs/mine/model --images manifest.csv --worker resnet50 --target-accuracy 0.9

        metrifier threshold --model runs/mine/model --images val.csv --workers workers.yaml --worker mine --keep 0.8
    """
    from metrifier_core.evaluation.judged_images import judge_images
    from metrifier_core.execution.progress import progress
    from metrifier_core.statistics import UnreachableAccuracyError

    if (target_accuracy is None) == (keep is None):
        refuse("give either --target-accuracy or --keep")
    check_folder(output)
    items = list_images(images, root, match, limit)
    metrifier = load_metrifier(model, runtime)
    judging = judge_images(metrifier, _open_worker(worker, workers), items)
    try:
        judged = list(progress(judging, "score and classify", total=len(items), unit="images", log=False))
    except ValueError as error:
        refuse(f"--worker: {error}")
    unusable = {image.image_id: image.error for image in judged if image.error is not None}
    for image_id, reason in unusable.items():
        typer.echo(f"left out {image_id}: {reason}", err=True)
    usable = [image for image in judged if image.error is None]
    results: dict[str, Any] = {
        "threshold": None,
        "target_accuracy": target_accuracy,
        "keep": keep,
        "images": len(usable),
        "unusable": unusable,
        "worker": worker,
        "model": {"name": model, "fingerprint": metrifier.card.fingerprint, "runtime": metrifier.runtime},
    }
    try:
        chosen = _find(usable, target_accuracy, keep or 0.0)
    except ValueError as error:
        # An older threshold in this file would be taken for the one that was asked for.
        write_json(output, {**results, "reason": str(error)})
        typer.echo(str(error), err=True)
        raise typer.Exit(1 if isinstance(error, UnreachableAccuracyError) else 2) from None
    accuracy_of_all = sum(image.right for image in usable) / len(usable)
    if output != STANDARD:
        _print(chosen, accuracy_of_all)
    shares = {"accuracy": asdict(chosen.accuracy), "kept": asdict(chosen.kept), "kept_images": chosen.kept_images}
    write_json(output, {**results, "threshold": chosen.score, **shares, "accuracy_of_all": accuracy_of_all})
