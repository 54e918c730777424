"""A prepared worker: its verified weights and a JSON card that says all there is to know about it."""

from pathlib import Path
from typing import Literal

from metrifier_core.execution.checksums import path_sha256
from metrifier_core.settings.base import Settings
from metrifier_core.workers.catalogue import WorkerSpec
from metrifier_core.workers.creation import open_worker
from metrifier_core.workers.worker import Worker


class WorkerCard(Settings):
    """What `prepare_workers` found out about a worker.

    Attributes:
        name: The worker's name.
        role: Whether its losses make the label or only judge it.
        spec: Its catalogue entry.
        weights: Name of the weights file beside the card.
        sha256: Of that file.
        classes: Number of classes.
        temperature: What its logits are divided by.
        clean_accuracy: Share of clean calibration images that it gets right.
        clean_accuracy_low: Lower end of its 95 % interval.
        clean_accuracy_high: Upper end.
        clean_top5_accuracy: The same where five classes may be named.
        calibration_images: How many those are.
        fingerprint: Identity of what it was made from.
    """

    name: str
    role: Literal["label", "held-out"]
    spec: WorkerSpec
    weights: str
    sha256: str
    classes: int
    temperature: float
    clean_accuracy: float
    clean_accuracy_low: float
    clean_accuracy_high: float
    clean_top5_accuracy: float
    calibration_images: int
    fingerprint: str

    def write(self, folder: Path) -> None:
        """Writes the card into a folder; it appears only when it is complete."""
        temporary = folder / f"{self.name}.partial"
        temporary.write_text(self.model_dump_json(indent=2) + "\n")
        temporary.replace(folder / f"{self.name}.json")


def read_cards(folder: Path) -> list[WorkerCard]:
    """Reads all cards of a folder, sorted by name."""
    return [WorkerCard.model_validate_json(path.read_text()) for path in sorted(folder.glob("*.json"))]


def load_worker(folder: Path, name: str) -> tuple[Worker, WorkerCard]:
    """Loads a prepared worker.

    Args:
        folder: What `prepare_workers` wrote.
        name: The worker's name.

    Returns:
        The worker and its card.

    Raises:
        ValueError: Its weights are not those that the card was written for.
    """
    card = WorkerCard.model_validate_json((folder / f"{name}.json").read_text())
    weights = folder / card.weights
    if path_sha256(weights) != card.sha256:
        raise ValueError(f"{weights} is not the file that its card describes: run prepare_workers again")
    return open_worker(card.spec, weights, card.temperature), card
