"""Layers that Keras lacks. They are registered, so that a saved model loads in safe mode once this is imported."""

from typing import Any

import keras

_KEPT = 32  # of the sorted probabilities: what is beyond tells of nothing but their sum


@keras.saving.register_keras_serializable("metrifier")
class ZeroSum(keras.constraints.Constraint):
    """Keeps every filter's weights adding up to zero: what is left is a high-pass filter, blind to brightness."""

    def __call__(self, weights: Any) -> Any:
        """Projects (height, width, channels, filters) weights onto those of zero sum a channel and filter."""
        return weights - keras.ops.mean(weights, axis=(0, 1), keepdims=True)


@keras.saving.register_keras_serializable("metrifier")
class PooledStatistics(keras.layers.Layer):
    """Pools (N, H, W, C) features to the mean, standard deviation and maximum of each channel, (N, 3 C)."""

    def call(self, features: Any) -> Any:
        """Pools features over both spatial axes."""
        ops = keras.ops
        # In float32 whatever the network computes in: 16 bits do not hold a sum over an image.
        features = ops.cast(features, "float32")
        mean = ops.mean(features, axis=(1, 2), keepdims=True)
        variance = ops.mean(ops.square(features - mean), axis=(1, 2))
        pooled = [mean[:, 0, 0, :], ops.sqrt(variance + 1e-6), ops.max(features, axis=(1, 2))]
        return ops.concatenate(pooled, axis=-1)


@keras.saving.register_keras_serializable("metrifier")
class SortedProbabilities(keras.layers.Layer):
    """Turns (N, C) logits into the logarithms of the largest probabilities, in falling order, (N, 32).

    How far a classifier is in doubt, whatever the classes.
    """

    def call(self, logits: Any) -> Any:
        """Sorts and cuts off."""
        ops = keras.ops
        logarithms = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
        return ops.top_k(logarithms, min(_KEPT, logits.shape[-1]))[0]


LAYERS: dict[str, type] = {layer.__name__: layer for layer in (PooledStatistics, SortedProbabilities, ZeroSum)}
"""Every layer of this file by the name that a saved model has for it."""
