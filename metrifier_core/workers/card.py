"""A prepared worker: verified weights and a JSON card beside them."""

from pathlib import Path
from typing import Literal

from metrifier_core.execution.checksums import path_sha256
from metrifier_core.settings.base import Settings
from metrifier_core.workers.catalogue import WorkerSpec
from metrifier_core.workers.creation import open_worker
from metrifier_core.workers.worker import Worker


class WorkerCard(Settings):
    """The findings of `prepare_workers` about a worker.

    `weights` names the file or folder beside the card, with the checksum `sha256`; accuracies are those on the
    `calibration_images`, with a 95 % interval; `fingerprint` is a digest of the inputs that the card was made from.
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
        """Write the card into a folder atomically."""
        temporary = folder / f"{self.name}.partial"
        temporary.write_text(self.model_dump_json(indent=2) + "\n")
        temporary.replace(folder / f"{self.name}.json")


def read_cards(folder: Path) -> list[WorkerCard]:
    """Read all cards of a folder, sorted by name."""
    return [WorkerCard.model_validate_json(path.read_text()) for path in sorted(folder.glob("*.json"))]


def load_worker(folder: Path, name: str) -> tuple[Worker, WorkerCard]:
    """Load a prepared worker and its card.

    Args:
        folder: Output of `prepare_workers`.
        name: Worker's name.

    Raises:
        ValueError: The weights have another checksum than the card's.
    """
    card = WorkerCard.model_validate_json((folder / f"{name}.json").read_text())
    weights = folder / card.weights
    if path_sha256(weights) != card.sha256:
        raise ValueError(f"{weights} is not the file that its card describes: run prepare_workers again")
    return open_worker(card.spec, weights, card.temperature), card
