"""A small Keras classifier, and what every file that is made of it has to answer."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrifier_core.runtimes import Network
from metrifier_core.workers import ModelInterface, Worker

SIZE = 16
CLASSES = 10
IMAGES = [np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for seed in range(7)]

INTERFACE = ModelInterface(input_size=SIZE, layout="NHWC", outputs="logits")
"""Pixels between 0 and 1, of images that are not cropped as they are too small."""


def make_network(*, softmax: bool = False) -> Any:
    """Convolution, normalisation, pooling and a dense layer, with weights that depend on nothing."""
    import keras
    from keras import layers

    x = inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.MaxPooling2D()(layers.ReLU()(layers.BatchNormalization()(x)))
    x = layers.Dense(CLASSES, activation="softmax" if softmax else None)(layers.Flatten()(x))
    network = keras.Model(inputs, x)
    rng = np.random.default_rng(5)
    for weight in network.weights:
        scale, offset = (0.2, 1) if weight.name in ("gamma", "moving_variance") else (0.4, 0)
        weight.assign(offset + scale * rng.uniform(-1, 1, weight.shape))
    return network


def expected_outputs(network: Any, images: Sequence[NDArray[np.uint8]] = IMAGES) -> NDArray[np.float64]:
    """Return what the Keras classifier itself answers."""
    return np.asarray(network(np.stack(images) / np.float32(255), training=False), np.float64)


def check_outputs(network: Network, expected: NDArray[np.float64]) -> None:
    """Alone and together, a network answers what Keras does."""
    worker = Worker(network, INTERFACE)
    outputs = worker.outputs(IMAGES)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    alone = np.concatenate([worker.outputs([image]) for image in IMAGES])
    np.testing.assert_allclose(alone, outputs, rtol=1e-5, atol=1e-6)
    assert np.ptp(expected, axis=0).min() > 0.01, "every class depends on the image"


def check_threads(network: Network, prepare: Callable[[NDArray[np.uint8]], NDArray[np.generic]]) -> None:
    """Several threads at once are answered as one is."""
    batches = [np.stack([prepare(image)] * network.batch_size) for image in IMAGES]
    alone = [network.run(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(network.run, batches * 40))
    for index, outputs in enumerate(together):
        np.testing.assert_array_equal(outputs, alone[index % len(alone)])


def unit_pixels(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what the classifier is shown of an image."""
    return image / np.float32(255)
