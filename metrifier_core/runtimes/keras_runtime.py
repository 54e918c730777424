"""A network in Keras, on TensorFlow."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from metrifier_core.layers import LAYERS


class KerasRuntime:
    """A .keras file. See `Runtime`."""

    def __init__(self, path: Path) -> None:
        """Loads a file; one that brings its own Python is refused.

        Args:
            path: The file.

        Raises:
            ValueError: Keras cannot load it.
        """
        try:
            model = keras.saving.load_model(path, LAYERS, compile=False, safe_mode=True)
        except Exception as error:
            raise ValueError(f"{path} is not a whole model that Keras can load: {error}") from error

        def score(view: tf.Tensor) -> tf.Tensor:
            return model(view, training=False)

        signature = [tf.TensorSpec((1, None, None, 3), tf.uint8)]
        self._function = tf.function(score, input_signature=signature, autograph=False).get_concrete_function()
        self._model = model  # a traced function does not keep the variables that it reads

    def run(self, views: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Scores views; see `Runtime`."""
        # View by view: in a batch, TensorFlow adds up in another order.
        return np.array([self._function(tf.constant(view[None])).numpy()[0, 0] for view in views], np.float64)
