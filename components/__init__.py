"""The stages as Kubeflow components, each a thin body over its function in `metrifier_core.stages`."""

from components.close_run import close_run
from components.compare_families import compare_families
from components.distort import distort
from components.download import download
from components.evaluate_spearman import evaluate_spearman
from components.hold_out_family import hold_out_family
from components.join_losses import join_losses
from components.list_source import list_source
from components.merge_dataset import merge_dataset
from components.prepare_workers import prepare_workers
from components.register_metrifier import register_metrifier
from components.train_metrifier import train_metrifier
from components.worker_evaluate import worker_evaluate

__all__ = [
    "close_run",
    "compare_families",
    "distort",
    "download",
    "evaluate_spearman",
    "hold_out_family",
    "join_losses",
    "list_source",
    "merge_dataset",
    "prepare_workers",
    "register_metrifier",
    "train_metrifier",
    "worker_evaluate",
]
