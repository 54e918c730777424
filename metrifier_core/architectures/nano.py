"""nano: a network from scratch, small enough for a camera."""

from typing import Any

from metrifier_core.architectures.head import build_scorer
from metrifier_core.architectures.registry import register_architecture

__all__ = ["nano"]

_STAGES = ((32, 1), (48, 2), (96, 3), (128, 2))


@register_architecture()
def nano() -> Any:
    """Builds the network: two stems, four separable stages, statistics pooled at every stage, a small head.

    Returns:
        A Keras model from (N, H, W, 3) uint8 RGB, at least 32 pixels a side, to (N, 1) scores in [0, 1].
    """
    import keras
    from keras import layers

    from metrifier_core.architectures.layers import PooledStatistics, ZeroSum

    inputs = keras.Input((None, None, 3), dtype="uint8")
    pixels = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    # Noise and blur live in the high frequencies: some of the first filters may see nothing else.
    texture = layers.Conv2D(8, 5, strides=2, padding="same", use_bias=False, kernel_constraint=ZeroSum())(pixels)
    content = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(pixels)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Concatenate()([texture, content])))
    pooled = [PooledStatistics()(x)]
    for filters, depth in _STAGES:
        for block in range(depth):
            strides = 2 if block == 0 else 1
            x = layers.SeparableConv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        pooled.append(PooledStatistics()(x))
    return build_scorer("nano", inputs, pooled, units=64, dropout=0.1)
