"""Miniature classifiers in the style of five families, trained on the source; this module imports Keras."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from metrifier_core.execution.determinism import start_training
from metrifier_core.execution.progress import progress
from metrifier_core.export import export_onnx
from metrifier_core.images import RgbImage
from metrifier_core.workers.catalogue import MINIATURE_INTERFACE, MiniatureArchitecture, MiniatureSpec
from metrifier_core.workers.preprocessing import take_square

Tensor = Any

_BATCH = 64
_MOMENTUM = 0.9  # moving averages settle within the few hundred steps of a training


def _convolve(x: Tensor, filters: int, kernel: int = 3, strides: int = 1) -> Tensor:
    x = layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=_MOMENTUM)(x))


def _plain(x: Tensor) -> Tensor:
    """Build a few large kernels, then dense layers, like AlexNet."""
    x = layers.Conv2D(24, 5, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(48, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Flatten()(layers.MaxPooling2D()(x))
    return layers.Dropout(0.3)(layers.Dense(96, activation="relu")(x))


def _vgg(x: Tensor) -> Tensor:
    """Build pairs of 3 x 3 kernels between poolings, like VGG."""
    for filters in (12, 24, 48):
        x = layers.MaxPooling2D()(_convolve(_convolve(x, filters), filters))
    return layers.Flatten()(x)


def _residual(x: Tensor) -> Tensor:
    """Build sums of a block and its input, like ResNet."""
    x = _convolve(x, 16, strides=2)
    for filters in (16, 32, 64):
        shortcut = layers.Conv2D(filters, 1, strides=2, use_bias=False)(x)
        block = layers.Conv2D(filters, 3, padding="same", use_bias=False)(_convolve(x, filters, strides=2))
        x = layers.ReLU()(layers.Add()([layers.BatchNormalization(momentum=_MOMENTUM)(block), shortcut]))
    return layers.GlobalAveragePooling2D()(x)


def _inverted_residual(x: Tensor) -> Tensor:
    """Build blocks that widen, filter each channel and narrow, like MobileNetV2."""
    x = _convolve(x, 12, strides=2)
    for filters, strides in ((12, 1), (24, 2), (24, 1), (40, 2)):
        wide = _convolve(x, 4 * x.shape[-1], kernel=1)
        wide = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(wide)
        wide = layers.ReLU(max_value=6.0)(layers.BatchNormalization(momentum=_MOMENTUM)(wide))
        narrow = layers.BatchNormalization(momentum=_MOMENTUM)(layers.Conv2D(filters, 1, use_bias=False)(wide))
        x = layers.Add()([x, narrow]) if strides == 1 and x.shape[-1] == filters else narrow
    return layers.GlobalAveragePooling2D()(_convolve(x, 96, kernel=1))


def _inception(x: Tensor) -> Tensor:
    """Build kernels of several sizes side by side, like Inception."""
    x = _convolve(x, 16, strides=2)
    for filters in (8, 16):
        pooled = _convolve(layers.MaxPooling2D(3, strides=1, padding="same")(x), filters, kernel=1)
        three = _convolve(_convolve(x, filters, kernel=1), filters)
        five = _convolve(_convolve(_convolve(x, filters, kernel=1), filters), filters)
        x = layers.MaxPooling2D()(layers.Concatenate()([_convolve(x, filters, kernel=1), three, five, pooled]))
    return layers.GlobalAveragePooling2D()(_convolve(x, 96))


_BODIES: dict[MiniatureArchitecture, Callable[[Tensor], Tensor]] = {
    "plain": _plain,
    "vgg": _vgg,
    "residual": _residual,
    "inverted_residual": _inverted_residual,
    "inception": _inception,
}


def build_miniature(architecture: MiniatureArchitecture, classes: int) -> Any:
    """Build an untrained miniature.

    Args:
        architecture: Family that it imitates.
        classes: Number of classes.

    Returns:
        A Keras model from (N, 32, 32, 3) float32 RGB in [0, 255] to (N, classes) logits.
    """
    size = MINIATURE_INTERFACE.input_size
    inputs = keras.Input((size, size, 3))
    features = _BODIES[architecture](keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs))
    return keras.Model(inputs, keras.layers.Dense(classes)(features), name=architecture)


def _augment(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """Shift, dim and add noise to images at random, so that workers differ in more than luck."""
    shifts = rng.integers(-2, 3, (len(pixels), 2))
    moved = np.stack(
        [np.roll(image, tuple(shift), axis=(0, 1)) for image, shift in zip(pixels, shifts, strict=True)]
    ).astype(np.float32)
    gain = rng.uniform(0.7, 1.0, (len(pixels), 1, 1, 1)).astype(np.float32)
    noise = rng.normal(0.0, 1.0, pixels.shape).astype(np.float32) * rng.uniform(0, 16, (len(pixels), 1, 1, 1))
    return np.rint(moved * gain + noise).clip(0, 255).astype(np.float32)


def train_miniature(
    spec: MiniatureSpec,
    images: Sequence[RgbImage],
    labels: NDArray[np.int64],
    classes: int,
    seed: int,
    path: Path,
) -> None:
    """Train a miniature and export it.

    Args:
        spec: Catalogue entry.
        images: Images of the `worker_train` split.
        labels: (N,) class indices.
        classes: Number of classes.
        seed: Seed of initial weights, order and augmentation.
        path: ONNX file to write.
    """
    start_training(seed)
    rng = np.random.default_rng(seed)
    model = build_miniature(spec.architecture, classes)
    steps = -(-len(labels) // _BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, spec.epochs * steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss)
    pixels = np.stack([take_square(image, MINIATURE_INTERFACE.geometry) for image in images])
    for _ in progress(range(spec.epochs), f"train {spec.architecture}", unit="epoch"):
        # Whole batches only: the training step is traced once.
        order = np.resize(rng.permutation(len(labels)), steps * _BATCH)
        augmented = _augment(pixels[order], rng)
        for start in range(0, len(order), _BATCH):
            batch = slice(start, start + _BATCH)
            model.train_on_batch(augmented[batch], labels[order[batch]])
    export_onnx(model, path)
