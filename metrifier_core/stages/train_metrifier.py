"""train_metrifier: train a network to predict quality from pixels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metrifier_core._version import __version__
from metrifier_core.data.dataset import QualityDataset
from metrifier_core.data.metrifier_card import MODEL_CARD, MetrifierCard
from metrifier_core.data.records import fingerprint, read_fingerprint, tables
from metrifier_core.data.training_history import TRAINING_HISTORY, TrainingHistory
from metrifier_core.execution.checksums import file_sha256
from metrifier_core.execution.determinism import start_training
from metrifier_core.execution.progress import say
from metrifier_core.stages.running import Summary, partial_folder, stage
from metrifier_core.training import MetrifierSettings
from metrifier_core.training.calibration import calibrate_network, fit_calibration
from metrifier_core.training.fitting import CHECKPOINT, fit_network
from metrifier_core.training.scoring import score_split


@stage
def train_metrifier(
    metrifier: Mapping[str, Any], seed: int, versions: Sequence[Path], quality: Path, output: Path
) -> Summary:
    """Train the metrifier of a run.

    Args:
        metrifier: The config's `metrifier`.
        seed: The config's seed.
        versions: Outputs of `distort`, a folder per shard.
        quality: Output of `merge_dataset`.
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
    dataset = QualityDataset(tables(list(versions), "versions"), quality_file)
    with partial_folder(output, "train_metrifier", identity, kept=CHECKPOINT) as folder:
        fitted = fit_network(dataset, settings, seed, folder)
        seen = {"crop": settings.crop, "batch_size": settings.batch_size}
        scored = score_split(fitted.network, dataset, "calibration", **seen, every_view=True)
        line = fit_calibration(scored)
        calibrate_network(fitted.network, line)
        slopes = f"{line.below:.3f} x logit below 0, {line.above:.3f} x above, {line.intercept:+.3f}"
        say(f"calibrated on {len(scored.quality)} versions: {slopes}")

        from metrifier_core.export import export_network, representative_views

        known, new = (representative_views(dataset, settings.crop, split) for split in ("train", "validation"))
        files = export_network(fitted.network, folder, known, new)
        card = MetrifierCard(
            architecture=settings.architecture,
            crop=settings.crop,
            package_version=__version__,
            fingerprint=identity,
            parameters=int(fitted.network.count_params()),
            best_epoch=fitted.best_epoch,
            validation_spearman=fitted.validation_spearman,
            sha256={file.name: file_sha256(file) for file in files},
            exports={file.name: check for file, check in files.items()},
        )
        history = TrainingHistory.model_validate(fitted.curves)
        (folder / TRAINING_HISTORY).write_text(history.model_dump_json(indent=2) + "\n")
        (folder / MODEL_CARD).write_text(card.model_dump_json(indent=2) + "\n")
    return {
        "epochs": len(fitted.curves),
        "best_epoch": fitted.best_epoch,
        "validation_spearman": fitted.validation_spearman,
        "parameters": card.parameters,
    }
