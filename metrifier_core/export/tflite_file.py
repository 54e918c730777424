"""A network as TFLite: in float32, and with convolutions of integers; the same weights give the same bytes."""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Statistics of integers lose the score's last steps, and XNNPACK has no fast kernels for them.
_FLOAT_OPERATORS = ["MEAN", "SQUARED_DIFFERENCE", "SUB", "REDUCE_MAX"]


def _save(network: Any, side: int, folder: Path) -> None:
    """Writes a SavedModel that takes one view of one size: LiteRT plans its memory for it."""
    import keras

    view = keras.Input((side, side, 3), batch_size=1, dtype="uint8", name="images")
    # Names are given, as Keras's own count up over the models of a process.
    fixed = keras.Model(view, network(view, training=False), name="metrifier")
    fixed.export(folder, format="tf_saved_model", verbose=False)


def _with_scales_apart(network: Any) -> Any:
    """Copies a network so that the maxima of its stages do not tie the scales of their integers together.

    A maximum has the scale of what it is taken from, and so have all tensors that are concatenated: every stage would
    share the widest one's. The maximum of differences from the mean, plus the mean, is the same number with its own.
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
    """Writes a Keras model as TFLite in float32.

    Args:
        network: A built Keras model from (N, H, W, 3) uint8 to (N, 1) scores.
        path: The file.
        side: Pixels a side of the views that it will take, one a call.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        _save(network, side, Path(folder))
        path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


def _after_pooling(model: bytes) -> list[str]:
    """Names the tensors without height and width: statistics, and all that is made of them."""
    from ai_edge_litert.interpreter import Interpreter

    tensors = Interpreter(model_content=model).get_tensor_details()
    return [tensor["name"] for tensor in tensors if len(tensor["shape"]) < 4 or max(tensor["shape"][1:3]) == 1]  # noqa: PLR2004


def export_tflite_int8(network: Any, path: Path, representative: NDArray[np.uint8]) -> None:
    """Writes a Keras model as TFLite whose convolutions have int8 weights and activations.

    The pooled statistics and the dense layers after them stay in float32 inside the same file, by TensorFlow's
    selective quantisation (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_debugger).

    Args:
        network: A built Keras model from (N, H, W, 3) uint8 to (N, 1) scores.
        path: The file; it takes uint8 and gives float32.
        representative: (N, S, S, 3) uint8 views that decide the ranges of the activations.
    """
    import tensorflow as tf

    def views() -> Iterator[list[NDArray[np.uint8]]]:
        for view in representative:
            yield [view[None]]

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Images are no activations; and the debugger still calibrates on TensorFlow's own interpreter.
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
