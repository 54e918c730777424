"""What every metrifier ends in: pooled features to a score."""

from collections.abc import Sequence
from typing import Any

import numpy as np

EMBEDDING = "embedding"
"""Name of the layer that the score, and in training the label workers' heads, are read from."""
SCORE_LOGIT = "score_logit"
"""Name of the layer whose output training makes the score before its sigmoid."""
CALIBRATION = "calibration"
"""Name of the layer that turns it into the calibrated one: a slope below zero, a slope above, and an intercept."""


def build_scorer(network: str, inputs: Any, pooled: Sequence[Any], *, units: Sequence[int], dropout: float) -> Any:
    """Ends a network.

    Args:
        network: Its name.
        inputs: Keras tensor (N, H, W, 3) uint8.
        pooled: Keras tensors (N, C).
        units: Widths of the hidden layers.
        dropout: Share of their outputs that training leaves out.

    Returns:
        A Keras model from images to (N, 1) scores in [0, 1].
    """
    import keras
    from keras import layers

    x = layers.BatchNormalization()(layers.Concatenate()(pooled))
    for index, width in enumerate(units, 1):
        name = EMBEDDING if index == len(units) else None
        x = layers.Dropout(dropout, name=name)(layers.Dense(width, activation="relu")(x))
    # In float32 whatever the network computes in: a score has more digits than 16 bits hold.
    logit = layers.Dense(1, name=SCORE_LOGIT, dtype="float32")(x)
    fixed = {"trainable": False, "dtype": "float32"}
    sides = layers.Dense(2, activation="relu", use_bias=False, name="sides", **fixed)
    calibration = layers.Dense(1, name=CALIBRATION, **fixed)
    score = layers.Activation("sigmoid", name="score", dtype="float32")(calibration(sides(logit)))
    # As long as nothing is calibrated, exactly what went in comes out.
    sides.set_weights([np.array([[1, -1]], np.float32)])
    calibration.set_weights([np.array([[1], [-1]], np.float32), np.zeros(1, np.float32)])
    return keras.Model(inputs, score, name=network)
