"""Workers: frozen classifiers whose losses make the label or judge the metrifier."""

from metrifier_core.workers.card import WorkerCard, load_worker, read_cards
from metrifier_core.workers.catalogue import (
    KNOWN_WORKERS,
    AlexNetSpec,
    ApplicationSpec,
    ExportedSpec,
    MiniatureSpec,
    WorkerSpec,
    get_worker,
    list_workers,
    read_catalogue,
    read_entries,
)
from metrifier_core.workers.creation import create_worker, open_worker
from metrifier_core.workers.interface import ModelInterface
from metrifier_core.workers.selection import WorkerSettings
from metrifier_core.workers.weights import copy_weights, find_location, find_weights
from metrifier_core.workers.worker import Worker

__all__ = [
    "KNOWN_WORKERS",
    "AlexNetSpec",
    "ApplicationSpec",
    "ExportedSpec",
    "MiniatureSpec",
    "ModelInterface",
    "Worker",
    "WorkerCard",
    "WorkerSettings",
    "WorkerSpec",
    "copy_weights",
    "create_worker",
    "find_location",
    "find_weights",
    "get_worker",
    "list_workers",
    "load_worker",
    "open_worker",
    "read_cards",
    "read_catalogue",
    "read_entries",
]
