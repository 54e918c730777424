"""Weights of pretrained classifiers: a kernel and a bias per layer, batch normalisation folded in."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrifier_core.architectures.head import TRUNK
from metrifier_core.workers import ApplicationSpec, ExportedSpec, find_weights, open_worker
from metrifier_core.workers.keras_applications import build_application

_MAX_DIFFERENCE = 1e-2  # of logits, as a share of their range; float16 rounding stays below


class Kernel(NamedTuple):
    """The weights of one layer.

    Attributes:
        weights: float32 (height, width, inputs, filters); depthwise (height, width, channels, 1); dense (inputs,
            outputs).
        bias: float32, one per filter, channel or output.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


def _fold(kernel: Kernel, normalisation: Any, *, depthwise: bool) -> Kernel:
    """Multiply a batch normalisation into the convolution before it."""
    gamma, beta, mean, variance = (np.asarray(value, np.float64) for value in normalisation.get_weights())
    factor = gamma / np.sqrt(variance + normalisation.epsilon)
    weights = kernel.weights * (factor[:, None] if depthwise else factor)
    return Kernel(weights.astype(np.float32), (beta + (kernel.bias - mean) * factor).astype(np.float32))


def _read_keras(model: Any) -> list[Kernel]:
    """Read a `keras.applications` classifier, whose layers are in order of computation."""
    from keras import layers

    kernels: list[Kernel] = []
    depthwise = False
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            kernels[-1] = _fold(kernels[-1], layer, depthwise=depthwise)
        elif layer.weights:
            depthwise = isinstance(layer, layers.DepthwiseConv2D)
            weights, *bias = layer.get_weights()
            outputs = weights.shape[-2] if depthwise else weights.shape[-1]
            kernels.append(Kernel(weights, bias[0] if bias else np.zeros(outputs, np.float32)))
    return kernels


def _read_onnx(path: Path) -> Iterator[Kernel]:
    """Read the convolutions of an ONNX graph, whose nodes are in order of computation."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path, load_external_data=False).graph
    constants = {tensor.name: np.asarray(numpy_helper.to_array(tensor), np.float32) for tensor in graph.initializer}
    for node in graph.node:
        # The graph may store weights in float16 and widen them itself.
        if node.op_type == "Cast" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
        elif node.op_type == "Conv":
            weights, bias = (constants[name] for name in node.input[1:])
            groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
            yield Kernel(np.transpose(weights, (2, 3, 0, 1) if groups > 1 else (2, 3, 1, 0)), bias)


def read_kernels(spec: ApplicationSpec | ExportedSpec) -> list[Kernel]:
    """Read the weights of a pretrained classifier, in order of computation.

    Args:
        spec: Catalogue entry of `keras.applications`, or of an ONNX file whose batch normalisation is folded.

    Raises:
        ValueError: The weights are missing, or are not those that the entry describes.
    """
    path = find_weights("backbone", spec)
    if isinstance(spec, ApplicationSpec):
        return _read_keras(build_application(spec, path))
    if path is None or spec.format != "onnx":
        raise ValueError(f"backbone: expected a file of the format keras_applications or onnx, got {spec.format}")
    try:
        return list(_read_onnx(path))
    except Exception as error:
        raise ValueError(f"backbone: {path} is not a graph of convolutions with their weights: {error}") from error


def assign_kernels(network: Any, kernels: Sequence[Kernel]) -> None:
    """Set the weights of the layers whose names begin with `TRUNK`.

    Raises:
        ValueError: The number of kernels or a shape differs from the network's.
    """
    layers = {layer.name: layer for layer in network.layers if layer.name.startswith(TRUNK)}
    if len(layers) != len(kernels):
        raise ValueError(f"backbone: has {len(kernels)} layers with weights, the architecture {len(layers)}")
    for index, kernel in enumerate(kernels):
        layer = layers[f"{TRUNK}{index}"]
        expected = tuple(layer.kernel.shape)
        # The file may hold a dense layer as a convolution of one pixel.
        weights = kernel.weights.reshape(expected) if kernel.weights.size == math.prod(expected) else kernel.weights
        if weights.shape != expected or kernel.bias.shape != tuple(layer.bias.shape):
            raise ValueError(
                f"backbone: layer {index} has weights of {kernel.weights.shape}, the architecture of {expected}"
            )
        layer.set_weights([weights, kernel.bias])


def check_backbone(network: Any, spec: ExportedSpec) -> None:
    """Raise if the classifier inside a network answers otherwise than the file that its weights come from.

    Weights of the right shapes may still belong to a network with other paddings, activations or shortcuts.

    Args:
        network: Keras model with the weights of this file, in float32.
        spec: Catalogue entry of the ONNX file.

    Raises:
        ValueError: The answers differ, or the file cannot be run.
    """
    import keras

    worker = open_worker(spec, find_weights("backbone", spec))
    size = spec.input_size
    rng = np.random.default_rng(0)
    # Large and small structures, so that borders and every scale matter.
    grid = rng.uniform(0, 255, (4, 4, 3)).repeat(-(-size // 4), 0).repeat(-(-size // 4), 1)[:size, :size]
    pixels = np.clip(grid + rng.normal(0, 40, (size, size, 3)), 0, 255).astype(np.uint8)[None]
    expected = worker.outputs(list(pixels))
    last = max(int(layer.name.removeprefix(TRUNK)) for layer in network.layers if layer.name.startswith(TRUNK))
    inside = keras.Model(network.inputs, network.get_layer(f"{TRUNK}{last}").output)
    logits = np.asarray(inside(pixels), np.float64)
    if spec.outputs == "probabilities":
        # They determine logits up to a constant.
        expected, logits = (values - values.mean() for values in (np.log(np.maximum(expected, 1e-12)), logits))
    difference = float(np.abs(logits - expected).max()) if logits.shape == expected.shape else np.inf
    # Negated, so that NaN is too large.
    if not difference <= _MAX_DIFFERENCE * np.ptp(expected):
        raise ValueError(
            f"backbone: {spec.file} has the shapes of the architecture, but is another network: its logits and those "
            f"of its weights in the architecture differ by up to {difference:.2g}"
        )
