"""Layers that Keras lacks; importing this module registers them, so that saved models load in safe mode."""

from typing import Any

import keras

_KEPT = 32  # sorted probabilities; the rest adds nothing but its sum


@keras.saving.register_keras_serializable("metrifier")
class ZeroSum(keras.constraints.Constraint):
    """A constraint that makes every filter's weights sum to zero: a high-pass filter, blind to brightness."""

    def __call__(self, weights: Any) -> Any:
        """Project (height, width, channels, filters) weights onto a zero sum per channel and filter."""
        return weights - keras.ops.mean(weights, axis=(0, 1), keepdims=True)


@keras.saving.register_keras_serializable("metrifier")
class PooledStatistics(keras.layers.Layer):
    """A layer that pools (N, H, W, C) features to each channel's mean, standard deviation and maximum, (N, 3 C)."""

    def call(self, features: Any) -> Any:
        """Pool features over both spatial axes."""
        ops = keras.ops
        # In float32 whatever the network computes in: 16 bits do not hold a sum over an image.
        features = ops.cast(features, "float32")
        mean = ops.mean(features, axis=(1, 2), keepdims=True)
        variance = ops.mean(ops.square(features - mean), axis=(1, 2))
        pooled = [mean[:, 0, 0, :], ops.sqrt(variance + 1e-6), ops.max(features, axis=(1, 2))]
        return ops.concatenate(pooled, axis=-1)


@keras.saving.register_keras_serializable("metrifier")
class SortedProbabilities(keras.layers.Layer):
    """A layer from (N, C) logits to the 32 largest log-probabilities in descending order: how certain, not of what."""

    def call(self, logits: Any) -> Any:
        """Sort the log-probabilities and keep the largest."""
        ops = keras.ops
        logarithms = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
        return ops.top_k(logarithms, min(_KEPT, logits.shape[-1]))[0]


LAYERS: dict[str, type] = {layer.__name__: layer for layer in (PooledStatistics, SortedProbabilities, ZeroSum)}
"""Every layer of this file by its name in a saved model."""
