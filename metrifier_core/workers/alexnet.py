"""AlexNet as torchvision defines it, and the conversion of its published weights to Keras.

Source of the network: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv 1404.5997.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrifier_core.execution.checksums import file_sha256
from metrifier_core.workers.interface import ModelInterface
from metrifier_core.workers.weights import load_keras_weights

INTERFACE = ModelInterface(
    input_size=224, layout="NHWC", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), outputs="logits"
)
"""The preprocessing that torchvision documents for its weights."""

PUBLISHED_SHA256_PREFIXES = ("7be5be79", "4df8aa71")
"""First digits of the SHA-256 of torchvision's weight files, as in the name alexnet-owt-7be5be79.pth."""

_CLASSES = 1000
# Name in the state dict: filters, kernel, strides, padding; whether pooling follows.
_CONVOLUTIONS = {
    "features.0": (64, 11, 4, 2, True),
    "features.3": (192, 5, 1, 2, True),
    "features.6": (384, 3, 1, 1, False),
    "features.8": (256, 3, 1, 1, False),
    "features.10": (256, 3, 1, 1, True),
}
_DENSE = {"classifier.1": 4096, "classifier.4": 4096, "classifier.6": _CLASSES}
_POOLED = (256, 6, 6)  # channels, height, width before the dense layers


def _layer(name: str) -> str:
    return name.replace(".", "_")  # Keras forbids dots


def build_alexnet() -> Any:
    """Build AlexNet with random weights.

    Returns:
        A Keras model from (N, 224, 224, 3) float32 to (N, 1000) logits.
    """
    import keras
    from keras import layers

    x = inputs = keras.Input((INTERFACE.input_size, INTERFACE.input_size, 3))
    for name, (filters, kernel, strides, padding, pooled) in _CONVOLUTIONS.items():
        # Padded alike on both sides, unlike "same" with strides.
        x = layers.ZeroPadding2D(padding)(x)
        x = layers.Conv2D(filters, kernel, strides=strides, activation="relu", name=_layer(name))(x)
        if pooled:
            x = layers.MaxPooling2D(3, strides=2)(x)
    x = layers.Flatten()(x)
    for name, units in _DENSE.items():
        activation = None if units == _CLASSES else "relu"
        x = layers.Dense(units, activation=activation, name=_layer(name))(x)
    return keras.Model(inputs, x, name="alexnet")


def read_state(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read a torch state dict as names and arrays, never as pickled objects.

    Args:
        path: A .safetensors file, or a .pth file where torch is installed.

    Raises:
        ValueError: The file is neither or incomplete, or torch is not installed.
    """
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} is not a whole safetensors file: {error}") from error
    try:
        import torch
    except ImportError as error:
        raise ValueError(f"{path} needs torch to be read: pip install torch, or give a .safetensors file") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {name: tensor.numpy() for name, tensor in state.items()}
    except Exception as error:
        raise ValueError(f"{path} is not a state dict of torch: {error}") from error


def convert_state(state: Mapping[str, NDArray[np.float32]]) -> Any:
    """Convert a torchvision state dict to the Keras model.

    Args:
        state: `features.0.weight` to `classifier.6.bias`; kernels (out, in, height, width), matrices (out, in).

    Raises:
        ValueError: Arrays are missing, unknown or of other shapes; the message names the first.
    """
    model = build_alexnet()
    expected_names = {f"{name}.{part}" for name in (*_CONVOLUTIONS, *_DENSE) for part in ("weight", "bias")}
    for problem, names in (("lacks", expected_names - set(state)), ("has unknown", set(state) - expected_names)):
        if names:
            raise ValueError(f"the state dict {problem} {', '.join(sorted(names))}: is it torchvision's AlexNet?")
    for name in (*_CONVOLUTIONS, *_DENSE):
        weight, bias = np.asarray(state[f"{name}.weight"]), np.asarray(state[f"{name}.bias"])
        layer = model.get_layer(_layer(name))
        expected = tuple(layer.kernel.shape)
        if name in _CONVOLUTIONS:
            kernel = weight.transpose(2, 3, 1, 0) if weight.ndim == len(expected) else weight
        elif name == "classifier.1" and weight.shape[1:] == (np.prod(_POOLED),):
            # torch flattens channel by channel, Keras pixel by pixel.
            kernel = weight.reshape(-1, *_POOLED).transpose(2, 3, 1, 0).reshape(expected[0], -1)
        else:
            kernel = weight.T
        if kernel.shape != expected or bias.shape != expected[-1:]:
            raise ValueError(f"{name} has the shapes {weight.shape} and {bias.shape}: is it torchvision's AlexNet?")
        layer.set_weights([kernel, bias])
    return model


def load_alexnet(weights: Path) -> Any:
    """Build AlexNet with converted weights.

    Raises:
        ValueError: The file does not hold them.
    """
    return load_keras_weights(build_alexnet(), weights, "AlexNet")


def check_published(path: Path, sha256: str | None) -> str:
    """Verify the checksum of a file of weights and return it.

    Args:
        path: File of weights.
        sha256: Expected SHA-256; None: that of a file that torchvision published.

    Raises:
        ValueError: The file has another checksum.
    """
    actual = file_sha256(path)
    if sha256 is not None and actual != sha256:
        raise ValueError(f"{path} has the SHA-256 {actual}, not {sha256}")
    if sha256 is None and not actual.startswith(PUBLISHED_SHA256_PREFIXES):
        raise ValueError(
            f"{path} has the SHA-256 {actual}, which is none of torchvision's (they begin with "
            f"{' or '.join(PUBLISHED_SHA256_PREFIXES)}): give the right one with --sha256"
        )
    return actual
