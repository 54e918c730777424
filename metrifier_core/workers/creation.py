"""From a catalogue entry to a worker that runs."""

from collections.abc import Mapping
from pathlib import Path

from metrifier_core.runtimes import Network, check_installed, open_runtime
from metrifier_core.runtimes.keras_runtime import KerasNetwork
from metrifier_core.workers import alexnet
from metrifier_core.workers.catalogue import (
    MINIATURE_INTERFACE,
    AlexNetSpec,
    ApplicationSpec,
    MiniatureSpec,
    WorkerSpec,
    get_worker,
)
from metrifier_core.workers.interface import ModelInterface
from metrifier_core.workers.keras_applications import application_interface, build_application
from metrifier_core.workers.weights import find_weights
from metrifier_core.workers.worker import Worker


def _find_interface(spec: WorkerSpec) -> ModelInterface:
    """Return the interface that the format fixes, or the entry itself, which states it."""
    match spec:
        case ApplicationSpec():
            return application_interface(spec.application)
        case AlexNetSpec():
            return alexnet.INTERFACE
        case MiniatureSpec():
            return MINIATURE_INTERFACE
        case _:
            return spec


def _open_network(spec: WorkerSpec, weights: Path | None) -> Network:
    """Open weights on the library that runs them, importing no other one."""
    batch_size, reduced_precision = spec.batch_size, spec.reduced_precision
    if isinstance(spec, ApplicationSpec):
        check_installed("keras")
        return KerasNetwork(build_application(spec, weights), batch_size, reduced_precision)
    if weights is None:
        raise ValueError(f"a worker of the format {spec.format} needs weights")
    if isinstance(spec, AlexNetSpec):
        check_installed("keras")
        return KerasNetwork(alexnet.load_alexnet(weights), batch_size, reduced_precision)
    runtime = "onnx" if isinstance(spec, MiniatureSpec) else spec.format
    return open_runtime(runtime, weights, batch_size=batch_size, reduced_precision=reduced_precision, use_gpu=True)


def open_worker(spec: WorkerSpec, weights: Path | None, temperature: float = 1.0) -> Worker:
    """Open the worker that a catalogue entry describes.

    Args:
        spec: Catalogue entry.
        weights: Verified weights; None for those that Keras downloads.
        temperature: Divisor of the logits.

    Raises:
        ValueError: The weights belong to another network, or the entry does not fit them.
    """
    return Worker(_open_network(spec, weights), _find_interface(spec), temperature)


def create_worker(name: str, catalogue: Mapping[str, WorkerSpec] | None = None) -> Worker:
    """Create a worker by name, ready to classify; its temperature is 1, as nothing has calibrated it.

    Args:
        name: Known worker, such as `resnet50`, or entry of the catalogue.
        catalogue: Entries of your own, see `read_catalogue`.

    Raises:
        ValueError: The name is unknown, or the weights are missing or do not match the entry.
    """
    spec = get_worker(name, catalogue)
    if isinstance(spec, MiniatureSpec):
        raise ValueError(f"'{name}' has no weights before prepare_workers trains it on a run's images")
    return open_worker(spec, find_weights(name, spec))
