"""A metrifier's network of one convolution, which is traced and trained in moments."""

from typing import Any

from metrifier_core.architectures import registry


def make_tiny_network() -> Any:
    """Build a tiny network with a trunk of one layer."""
    import keras

    from metrifier_core.architectures.head import build_scorer
    from metrifier_core.layers import PooledStatistics

    inputs = keras.Input((None, None, 3), dtype="uint8")
    trunk = keras.layers.Conv2D(4, 3, activation="relu", name="trunk_1")
    x = trunk(keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs))
    return build_scorer("tiny", inputs, [PooledStatistics()(x)], units=[8], dropout=0.3)


TINY = registry.Architecture("tiny", make_tiny_network)
