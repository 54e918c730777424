"""A network as TFLite files, in float32 and with int8 convolutions; equal weights give equal bytes."""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# In int8, pooled statistics lose the score's last digits, and XNNPACK has no fast kernels for them.
_FLOAT_OPERATORS = ["MEAN", "SQUARED_DIFFERENCE", "SUB", "REDUCE_MAX"]


def _save(network: Any, side: int, folder: Path) -> None:
    """Write a SavedModel that takes one view of one size, for which LiteRT plans its memory."""
    import keras

    view = keras.Input((side, side, 3), batch_size=1, dtype="uint8", name="images")
    # Explicit names: Keras's own count the models of the process.
    fixed = keras.Model(view, network(view, training=False), name="metrifier")
    fixed.export(folder, format="tf_saved_model", verbose=False)


def _with_scales_apart(network: Any) -> Any:
    """Copy a network so that each stage's features keep a quantisation scale of their own.

    A maximum shares the scale of its input, and concatenated tensors share one scale: every stage would get the widest
    one. The mean plus the maximum difference from it is the same number, with a scale of its own.
    """
    import keras

    from metrifier_core.layers import PooledStatistics

    class SeparateStatistics(PooledStatistics):
        def call(self, features: Any) -> Any:
            ops = keras.ops
            mean = ops.mean(features, axis=(1, 2), keepdims=True)
            differences = features - mean
            deviation = ops.sqrt(ops.mean(ops.square(differences), axis=(1, 2)) + 1e-6)
            mean = mean[:, 0, 0, :]
            return ops.concatenate([mean, deviation, mean + ops.max(differences, axis=(1, 2))], axis=-1)

    def copy(layer: Any) -> Any:
        kind = SeparateStatistics if type(layer) is PooledStatistics else type(layer)
        return kind.from_config(layer.get_config())

    apart = keras.models.clone_model(network, clone_function=copy)
    apart.set_weights(network.get_weights())
    return apart


def export_tflite(network: Any, path: Path, side: int) -> None:
    """Write a Keras model as TFLite in float32.

    Args:
        network: Built Keras model from (N, H, W, 3) uint8 to (N, 1) scores.
        path: File to write.
        side: Side in pixels of the views that it will take, one per call.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        _save(network, side, Path(folder))
        path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


def _after_pooling(model: bytes) -> list[str]:
    """Return the names of the tensors without height and width: pooled statistics and everything after them."""
    from ai_edge_litert.interpreter import Interpreter

    tensors = Interpreter(model_content=model).get_tensor_details()
    return [tensor["name"] for tensor in tensors if len(tensor["shape"]) < 4 or max(tensor["shape"][1:3]) == 1]  # noqa: PLR2004


def export_tflite_int8(network: Any, path: Path, representative: NDArray[np.uint8]) -> None:
    """Write a Keras model as TFLite with int8 weights and activations in its convolutions.

    Pooled statistics and the dense layers after them stay in float32, by TensorFlow's selective quantisation
    (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_debugger).

    Args:
        network: Built Keras model from (N, H, W, 3) uint8 to (N, 1) scores.
        path: File to write, from uint8 to float32.
        representative: (N, S, S, 3) uint8 views that calibrate the ranges of the activations.
    """
    import tensorflow as tf

    def views() -> Iterator[list[NDArray[np.uint8]]]:
        for view in representative:
            yield [view[None]]

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The input needs no range, and the debugger calibrates on TensorFlow's deprecated interpreter.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected", UserWarning)
        warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter is deprecated", UserWarning)
        _save(_with_scales_apart(network), representative.shape[1], Path(folder))
        exact = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = views
        options = tf.lite.experimental.QuantizationDebugOptions(
            denylisted_ops=_FLOAT_OPERATORS, denylisted_nodes=_after_pooling(exact)
        )
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=views, debug_options=options
        )
        path.write_bytes(debugger.get_nondebug_quantized_model())
