"""nano: a network trained from scratch, small enough for a camera."""

from typing import Any

from metrifier_core.architectures.head import build_scorer
from metrifier_core.architectures.registry import register_architecture

_STAGES = ((32, 1), (48, 2), (96, 3), (128, 2))


@register_architecture()
def nano() -> Any:
    """Build the network: two stems, four separable stages, statistics pooled at every stage, a small head.

    Returns:
        A Keras model from (N, H, W, 3) uint8 RGB, at least 32 pixels a side, to (N, 1) scores in [0, 1].
    """
    import keras
    from keras import layers

    from metrifier_core.layers import PooledStatistics, ZeroSum

    def normalise(features: Any) -> Any:
        return layers.ReLU()(layers.BatchNormalization()(features))

    inputs = keras.Input((None, None, 3), dtype="uint8")
    pixels = layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32")(inputs)
    # Noise and blur live in the high frequencies: these filters see nothing else. Stride 4 is enough for statistics,
    # and the largest maps take most of the time.
    texture = layers.Conv2D(8, 5, strides=4, padding="same", use_bias=False, kernel_constraint=ZeroSum())(pixels)
    texture = normalise(texture)
    x = normalise(layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(pixels))
    pooled = [PooledStatistics()(texture), PooledStatistics()(x)]
    for stage, (filters, depth) in enumerate(_STAGES):
        for block in range(depth):
            strides = 2 if block == 0 else 1
            x = normalise(layers.SeparableConv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x))
        pooled.append(PooledStatistics()(x))
        if stage == 0:
            x = layers.Concatenate()([x, texture])
    return build_scorer("nano", inputs, pooled, units=[64], dropout=0.1)
