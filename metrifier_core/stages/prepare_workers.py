"""prepare_workers: verify or train every worker, fit its temperature and write its card."""

from collections.abc import Mapping, Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrifier_core.data.records import fingerprint, read_fingerprint, read_rows, tables
from metrifier_core.distortions import version_seed
from metrifier_core.execution.checksums import path_sha256
from metrifier_core.execution.parallel import batched, parallel_map
from metrifier_core.execution.progress import say
from metrifier_core.images import RgbImage, decode_image
from metrifier_core.stages.running import Summary, partial_folder, stage
from metrifier_core.statistics import Accuracy, better_than_chance, surely_chance, top_accuracy
from metrifier_core.workers import (
    ApplicationSpec,
    MiniatureSpec,
    Worker,
    WorkerCard,
    WorkerSettings,
    WorkerSpec,
    copy_weights,
    find_weights,
    open_worker,
)
from metrifier_core.workers.losses import fit_temperature
from metrifier_core.workers.preprocessing import centre_crop
from metrifier_core.workers.weights import PretrainedSpec


def _train(name: str, spec: MiniatureSpec, images: Path, seed: int, folder: Path) -> Path:
    """Train a miniature on the images in the order of their identities, whatever the shards."""
    from metrifier_core.workers.catalogue import MINIATURE_INTERFACE
    from metrifier_core.workers.miniature import train_miniature

    def crop(row: Mapping[str, Any]) -> tuple[str, RgbImage, int]:
        # As it is read: 32 pixels a side are all that is kept of an image.
        pixels = centre_crop(
            decode_image(row["image"]["bytes"]), MINIATURE_INTERFACE.input_size, MINIATURE_INTERFACE.crop_fraction
        )
        return row["image_id"], pixels, row["label"]

    rows = chain.from_iterable(read_rows(path, splits=["worker_train"]) for path in tables([images], "images"))
    ordered = sorted(parallel_map(crop, rows), key=itemgetter(0))
    if not ordered:
        raise ValueError("no usable image for the split 'worker_train', on which miniature workers are trained")
    labels = np.array([label for _, _, label in ordered], np.int64)
    path = folder / f"{name}.onnx"
    # The seed depends on the name, not on the place among the workers.
    worker_seed = version_seed(seed, name, "worker") % 2**32
    train_miniature(spec, [pixels for _, pixels, _ in ordered], labels, _count_classes(images), worker_seed, path)
    return path


def _count_classes(images: Path) -> int:
    """Return the number of classes of the source, by its largest label."""
    return 1 + max(int(row["label"]) for path in tables([images], "images") for row in read_rows(path, ["label"]))


def _place(name: str, spec: PretrainedSpec, folder: Path) -> Path:
    """Put verified weights next to the card, so that a pod needs nothing else."""
    weights = find_weights(name, spec)
    if weights is not None:
        return copy_weights(name, weights, folder)
    if not isinstance(spec, ApplicationSpec):
        raise ValueError(f"workers.catalogue.{name}: there are no weights")
    from metrifier_core.workers.keras_applications import save_application

    return save_application(spec, folder / f"{name}.weights.h5")


def _classify(worker: Worker, images: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Run a worker on the clean calibration images; return outputs and labels in the order of their identities."""

    def classify(rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        return worker.outputs([decode_image(row["image"]["bytes"]) for row in rows])

    shards = tables([images], "images")
    keys = [row for path in shards for row in read_rows(path, ["image_id", "label"], splits=["calibration"])]
    if not keys:
        raise ValueError("no usable image for the split 'calibration', on which temperatures are fitted")
    encoded = chain.from_iterable(read_rows(path, splits=["calibration"]) for path in shards)
    outputs = np.concatenate(list(parallel_map(classify, batched(encoded, worker.batch_size))))
    order = np.argsort([row["image_id"] for row in keys])
    return outputs[order], np.array([row["label"] for row in keys], np.int64)[order]


@stage
def prepare_workers(workers: Mapping[str, Any], seed: int, images: Path, output: Path) -> Summary:
    """Verify or train every worker of a run and fit its temperature on clean calibration images.

    Args:
        workers: The config's `workers`.
        seed: The config's seed, for workers that are trained here.
        images: Output of `download`.
        output: Folder for each worker's weights file and JSON card.

    Returns:
        Number of workers, and the clean accuracy of each.

    Raises:
        ValueError: Weights are missing or are not those of the catalogue, or a worker lacks classes or only guesses.
    """
    settings = WorkerSettings.model_validate(workers)
    # The number of workers per task does not change their outputs.
    parameters = {**settings.model_dump(mode="json", exclude={"together"}), "seed": seed}
    source = read_fingerprint(tables([images], "images")[0])
    identity = fingerprint("prepare_workers", parameters, [str(source)])
    accuracies = {}
    with partial_folder(output, "prepare_workers", identity) as folder:
        for name in settings.names:
            card_file = folder / f"{name}.json"
            if not card_file.is_file():
                spec = settings.catalogue[name]
                if isinstance(spec, MiniatureSpec):
                    weights = _train(name, spec, images, seed, folder)
                else:
                    weights = _place(name, spec, folder)
                card = _describe(name, settings, weights, images, identity)
                card.write(folder)
                say(f"{name}: {card.clean_accuracy:.1%} right, temperature {card.temperature:.2f}")
            card = WorkerCard.model_validate_json(card_file.read_text())
            accuracies[f"accuracy_{name}"] = card.clean_accuracy
    return {"workers": len(settings.names), **accuracies}


def _check_accuracy(name: str, spec: WorkerSpec, accuracy: Accuracy, images: int, classes: int) -> None:
    """Raise if a worker only guesses; warn if there are too few images to tell."""
    if better_than_chance(accuracy, classes):
        return
    measured = (
        f"right on {accuracy.share:.1%} of {images} clean calibration images "
        f"({accuracy.low:.1%} to {accuracy.high:.1%}), where chance is {1 / classes:.1%}"
    )
    if isinstance(spec, MiniatureSpec):
        causes = "are the labels right, and the images of the split 'worker_train' enough to train it?"
    else:
        causes = (
            "are the labels the worker's own class indices, in its order, and is its preprocessing right? "
            "`metrifier workers verify` finds out"
        )
    if surely_chance(accuracy, images, classes):
        raise ValueError(f"worker '{name}' only guesses: it is {measured}; {causes}")
    say(f"{name}: may only guess: it is {measured}, too few images to tell; {causes}")


def _describe(name: str, settings: WorkerSettings, weights: Path, images: Path, identity: str) -> WorkerCard:
    """Fit a worker's temperature and return its card."""
    spec = settings.catalogue[name]
    try:
        worker = open_worker(spec, weights)
        outputs, labels = _classify(worker, images)
        worker.check(outputs)
    except ValueError as error:
        raise ValueError(f"workers.catalogue.{name}: {error}") from error
    logits = worker.to_logits(outputs)
    classes = logits.shape[1]
    needed = _count_classes(images)
    if needed > classes:
        raise ValueError(f"worker '{name}' knows {classes} classes, but an image has the label {needed - 1}")
    accuracy = top_accuracy(logits, labels)
    _check_accuracy(name, spec, accuracy, len(labels), classes)
    return WorkerCard(
        name=name,
        role="label" if name in settings.label else "held-out",
        spec=spec,
        weights=weights.name,
        sha256=path_sha256(weights),
        classes=classes,
        temperature=fit_temperature(logits, labels),
        clean_accuracy=accuracy.share,
        clean_accuracy_low=accuracy.low,
        clean_accuracy_high=accuracy.high,
        clean_top5_accuracy=top_accuracy(logits, labels, 5).share,
        calibration_images=len(labels),
        fingerprint=identity,
    )
