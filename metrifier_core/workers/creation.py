"""From a catalogue entry to a worker that runs."""

from collections.abc import Mapping
from pathlib import Path

from metrifier_core.workers.catalogue import (
    AlexNetSpec,
    ApplicationSpec,
    ExportedSpec,
    MiniatureSpec,
    WorkerSpec,
    find_spec,
)
from metrifier_core.workers.interface import ModelInterface
from metrifier_core.workers.network import Network
from metrifier_core.workers.weights import find_weights
from metrifier_core.workers.worker import Worker


def _find_interface(spec: WorkerSpec) -> ModelInterface:
    """An entry says it itself, where the format does not settle it."""
    match spec:
        case ApplicationSpec():
            from metrifier_core.workers.keras_applications import application_interface

            return application_interface(spec.application)
        case AlexNetSpec():
            from metrifier_core.workers.alexnet import INTERFACE

            return INTERFACE
        case MiniatureSpec():
            from metrifier_core.workers.miniature import INTERFACE

            return INTERFACE
        case ExportedSpec():
            return spec


def _open_network(spec: WorkerSpec, weights: Path | None) -> Network:
    """Puts weights on the library that runs them, which is imported where it is needed alone."""
    if isinstance(spec, ApplicationSpec):
        from metrifier_core.workers.keras_applications import build_application
        from metrifier_core.workers.keras_network import KerasNetwork

        return KerasNetwork(build_application(spec, weights), spec.batch_size, spec.reduced_precision)
    if weights is None:
        raise ValueError(f"a worker of the format {spec.format} needs weights")
    match spec.format:
        case "alexnet":
            from metrifier_core.workers.alexnet import load_alexnet
            from metrifier_core.workers.keras_network import KerasNetwork

            return KerasNetwork(load_alexnet(weights), spec.batch_size, spec.reduced_precision)
        case "keras":
            from metrifier_core.workers.keras_network import KerasNetwork, load_model

            return KerasNetwork(load_model(weights), spec.batch_size, spec.reduced_precision)
        case "saved_model":
            from metrifier_core.workers.keras_network import KerasNetwork, load_saved_model

            return KerasNetwork(load_saved_model(weights), spec.batch_size, spec.reduced_precision)
        case "tflite":
            from metrifier_core.workers.tflite_network import TfliteNetwork

            return TfliteNetwork(weights)
        case "onnx" | "miniature":
            from metrifier_core.workers.onnx_network import OnnxNetwork

            return OnnxNetwork(weights, spec.batch_size, spec.reduced_precision)


def open_worker(spec: WorkerSpec, weights: Path | None, temperature: float = 1.0) -> Worker:
    """Makes the worker that a catalogue entry describes.

    Args:
        spec: The entry.
        weights: Its verified weights; None for those that Keras downloads.
        temperature: What its logits are to be divided by.

    Returns:
        The worker.

    Raises:
        ValueError: The weights are of another network, or the entry does not fit them.
    """
    return Worker(_open_network(spec, weights), _find_interface(spec), temperature)


def create_worker(name: str, catalogue: Mapping[str, WorkerSpec] | None = None) -> Worker:
    """Makes a worker by its name, ready to classify; its temperature is 1, as nothing has calibrated it.

    Args:
        name: Of a known worker, such as `resnet50`, or of an entry of the catalogue.
        catalogue: Entries of your own, see `read_catalogue`.

    Returns:
        The worker.

    Raises:
        ValueError: There is none of that name, or its weights cannot be had or are others than the entry's.
    """
    spec = find_spec(name, catalogue or {})
    if isinstance(spec, MiniatureSpec):
        raise ValueError(f"'{name}' is trained by prepare_workers on the images of a run: it has no weights before")
    return open_worker(spec, find_weights(name, spec))
