"""The end of every metrifier: pooled features to a score."""

from collections.abc import Sequence
from typing import Any

import numpy as np

TRUNK = "trunk_"
"""Prefix of the names of layers with pretrained weights; a number in order of computation follows."""
EMBEDDING = "embedding"
"""Name of the layer that the score and, in training, the label workers' heads are computed from."""
SCORE_LOGIT = "score_logit"
"""Name of the layer with the uncalibrated logit of the score, which training optimises."""
CALIBRATION = "calibration"
"""Name of the layer that calibrates the logit: a slope below zero, a slope above, and an intercept."""


def build_scorer(network: str, inputs: Any, pooled: Sequence[Any], *, units: Sequence[int], dropout: float) -> Any:
    """Build the head of a network.

    Args:
        network: Name of the network.
        inputs: Keras tensor (N, H, W, 3) uint8.
        pooled: Keras tensors (N, C).
        units: Widths of the hidden layers.
        dropout: Dropout rate of the hidden layers.

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
    # The identity until it is calibrated.
    sides.set_weights([np.array([[1, -1]], np.float32)])
    calibration.set_weights([np.array([[1], [-1]], np.float32), np.zeros(1, np.float32)])
    return keras.Model(inputs, score, name=network)
