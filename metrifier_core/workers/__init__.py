"""Workers: frozen classifiers whose losses make the label, or judge it."""

from metrifier_core.workers.base import Worker
from metrifier_core.workers.card import WorkerCard, create_worker, load_worker, read_cards
from metrifier_core.workers.catalogue import (
    ExportedSpec,
    MiniatureSpec,
    WorkerSpec,
    file_sha256,
    load_weights_file,
)
from metrifier_core.workers.miniature import MINIATURES
from metrifier_core.workers.selection import WorkerSettings

__all__ = [
    "MINIATURES",
    "ExportedSpec",
    "MiniatureSpec",
    "Worker",
    "WorkerCard",
    "WorkerSettings",
    "WorkerSpec",
    "create_worker",
    "file_sha256",
    "load_weights_file",
    "load_worker",
    "read_cards",
]
