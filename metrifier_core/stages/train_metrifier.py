"""train_metrifier: a network learns to predict quality from pixels."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from metrifier_core._version import __version__
from metrifier_core.architectures import MetrifierSettings, create_network
from metrifier_core.checksums import file_sha256
from metrifier_core.dataset import QualityDataset
from metrifier_core.determinism import start_training
from metrifier_core.images import decode_version
from metrifier_core.metrifier import MODEL_CARD, MetrifierCard
from metrifier_core.parallel import batched, parallel_map
from metrifier_core.progress import progress, say
from metrifier_core.records import fingerprint, read_fingerprint
from metrifier_core.stages.running import Summary, stage, tables
from metrifier_core.views import central_view, random_view

__all__ = ["train_metrifier"]

_GROUPS_SHUFFLED_TOGETHER = 16

Batch = tuple[NDArray[np.uint8], NDArray[np.float32]]


def _shuffled(
    dataset: QualityDataset, rng: np.random.Generator
) -> Iterator[tuple[dict[str, Any], NDArray[np.float64]]]:
    """Goes through the training versions once in a random order; memory holds a few row groups of encoded bytes."""
    for groups in batched(rng.permutation(len(dataset)).tolist(), _GROUPS_SHUFFLED_TOGETHER):
        rows = [row for group in groups for row in dataset.rows(group, "train")]
        draws = rng.random((len(rows), 4))
        for index in rng.permutation(len(rows)):
            yield rows[index], draws[index]


def _training_batches(
    dataset: QualityDataset, settings: MetrifierSettings, rng: np.random.Generator
) -> Iterator[Batch]:
    """Makes one epoch's batches; images are decoded ahead of the training step."""

    def view(sample: tuple[dict[str, Any], NDArray[np.float64]]) -> tuple[NDArray[np.uint8], float]:
        row, draws = sample
        image = decode_version(row["image"]["bytes"])
        return random_view(image, settings.crop, draws, flip=settings.flip), row["quality"]

    for batch in batched(parallel_map(view, _shuffled(dataset, rng)), settings.batch_size):
        yield (
            np.stack([pixels for pixels, _ in batch]),
            np.array([[quality] for _, quality in batch], np.float32),
        )


def _validate(network: Any, dataset: QualityDataset, settings: MetrifierSettings) -> tuple[float, float]:
    """Computes loss and Spearman on the validation versions, each seen through its central view."""
    predicted: list[NDArray[np.float64]] = []
    quality: list[float] = []

    def view(row: Mapping[str, Any]) -> tuple[NDArray[np.uint8], float]:
        return central_view(decode_version(row["image"]["bytes"]), settings.crop), row["quality"]

    for batch in batched(parallel_map(view, dataset.iterate("validation")), settings.batch_size):
        pixels = np.stack([pixels for pixels, _ in batch])
        predicted.append(np.asarray(network.predict_on_batch(pixels), np.float64)[:, 0])
        quality += [value for _, value in batch]
    scores, truth = np.concatenate(predicted), np.asarray(quality)
    clipped = np.clip(scores, 1e-7, 1 - 1e-7)
    loss = -np.mean(truth * np.log(clipped) + (1 - truth) * np.log(1 - clipped))
    constant = scores.min() == scores.max() or truth.min() == truth.max()
    return float(loss), 0.0 if constant else float(spearmanr(scores, truth).statistic)


@dataclass
class _Best:
    """The weights of the best epoch so far."""

    epoch: int = 0
    spearman: float = -np.inf
    weights: Sequence[NDArray[np.float32]] = ()


def _fit(
    network: Any, dataset: QualityDataset, settings: MetrifierSettings, seed: int
) -> tuple[list[dict[str, float]], _Best]:
    """Trains until validation Spearman stops rising, and puts the best weights back."""
    import keras

    rng = np.random.default_rng(seed)
    versions = dataset.count("train")
    steps = settings.epochs * -(-versions // settings.batch_size)
    warm_up = min(100, steps // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 10,
        steps - warm_up,
        warmup_target=settings.learning_rate,
        warmup_steps=warm_up,
    )
    network.compile(keras.optimizers.AdamW(schedule, weight_decay=1e-4), keras.losses.BinaryCrossentropy())
    curves: list[dict[str, float]] = []
    best = _Best()
    for epoch in range(1, settings.epochs + 1):
        losses: list[float] = []
        batches = _training_batches(dataset, settings, rng)
        total = -(-versions // settings.batch_size)
        for pixels, quality in progress(batches, f"train epoch {epoch}", total=total, unit="batch"):
            losses.append(float(network.train_on_batch(pixels, quality)) * len(quality))
            network.reset_metrics()
        validation_loss, spearman = _validate(network, dataset, settings)
        loss = sum(losses) / versions
        curves.append(
            {
                "epoch": epoch,
                "loss": loss,
                "validation_loss": validation_loss,
                "validation_spearman": spearman,
            }
        )
        say(f"train epoch {epoch}: loss {loss:.4f}, validation loss {validation_loss:.4f}, Spearman {spearman:.4f}")
        if spearman > best.spearman:
            best = _Best(epoch, spearman, network.get_weights())
        elif epoch - best.epoch >= settings.patience:
            break
    if not best.epoch:
        raise ValueError("training diverged: no epoch has a validation Spearman; lower metrifier.learning_rate")
    network.set_weights(best.weights)
    return curves, best


@stage
def train_metrifier(
    metrifier: Mapping[str, Any], seed: int, versions: Sequence[Path], quality: Path, output: Path
) -> Summary:
    """Trains the metrifier of a run.

    Args:
        metrifier: The config's `metrifier`.
        seed: The config's seed.
        versions: What `distort` wrote, a folder a shard.
        quality: What `merge_dataset` wrote.
        output: Folder for the network's files, `metrifier.json` and `training.json`.

    Returns:
        epochs, best_epoch, validation_spearman and parameters.

    Raises:
        ValueError: Training diverged.
    """
    settings = MetrifierSettings.model_validate(metrifier)
    quality_file = quality / "quality.parquet"
    inputs = [str(read_fingerprint(quality_file))]
    identity = fingerprint("train_metrifier", {**settings.model_dump(), "seed": seed}, inputs)
    start_training(seed)
    network = create_network(settings.architecture)
    dataset = QualityDataset(tables(list(versions), "versions"), quality_file)
    curves, best = _fit(network, dataset, settings, seed)

    from metrifier_core.export import export_network, representative_views

    output.mkdir(parents=True, exist_ok=True)
    files = export_network(network, output, representative_views(dataset, settings.crop))
    card = MetrifierCard(
        architecture=settings.architecture,
        crop=settings.crop,
        package_version=__version__,
        fingerprint=identity,
        parameters=int(network.count_params()),
        best_epoch=best.epoch,
        validation_spearman=best.spearman,
        sha256={file.name: file_sha256(file) for file in files},
        exports={file.name: check for file, check in files.items()},
    )
    (output / "training.json").write_text(json.dumps(curves, indent=2) + "\n")
    (output / MODEL_CARD).write_text(card.model_dump_json(indent=2) + "\n")
    return {
        "epochs": len(curves),
        "best_epoch": best.epoch,
        "validation_spearman": best.spearman,
        "parameters": card.parameters,
    }
