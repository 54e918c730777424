"""Keras files and SavedModels on TensorFlow."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrifier_core.runtimes.interface import Network, check_ends, smallest_step

_GPU_BATCH = 32

# Operations that reach outside a model: Python in the process, and files other than the model's checkpoint.
_UNSAFE_OPERATIONS = re.compile(
    r"(Eager)?PyFunc(Stateless)?|MatchingFiles(Dataset)?|(Whole)?(ReadFile|WriteFile|FileReader)(V2)?|ImmutableConst"
    r"|(TextLine|TFRecord|FixedLengthRecord)\w*|\w*DatasetToTFRecord|(Save|Load|DistributedSave)Dataset\w*"
    r"|(CSV|Sql|LMDB|Cache|Snapshot)\w*Dataset\w*|CreateSummary\w*Writer|DebugIdentity\w*|Print(V2)?"
)


@dataclass(frozen=True)
class Signature:
    """The signature `serving_default` of a SavedModel with its input tensors and output names, like a Keras model."""

    model: Any
    inputs: list[Any]
    outputs: list[str]

    def __call__(self, images: Any, *, training: bool) -> Any:
        """Call the signature; a SavedModel is never in training."""
        del training
        return self.model.signatures["serving_default"](**{self.inputs[0].name: images})[self.outputs[0]]


class KerasNetwork(Network):
    """A Keras model or SavedModel on TensorFlow, which uses a GPU where it finds one."""

    def __init__(self, model: Any, batch_size: int | None = None, reduced_precision: bool = False) -> None:
        """Trace a model for one batch size.

        Args:
            model: Keras model, or the `Signature` of a SavedModel.
            batch_size: Images per call where the model leaves it open; None: 1 on a CPU, 32 on a GPU.
            reduced_precision: Let a GPU multiply in TF32; TensorFlow sets this for the whole process.

        Raises:
            ValueError: The model has several inputs or outputs, an input of unknown shape, or integer outputs.
        """
        import tensorflow as tf

        check_ends("the model", model.inputs, model.outputs)
        shape = tf.TensorShape(model.inputs[0].shape)
        if not shape.rank:
            raise ValueError("the model has an input of unknown shape")
        fixed_batch, *image_shape = shape.as_list()
        gpu = bool(tf.config.list_physical_devices("GPU"))
        tf.config.experimental.enable_tensor_float_32_execution(reduced_precision)
        self.batch_size = fixed_batch or batch_size or (_GPU_BATCH if gpu else 1)
        self.input_shape = (self.batch_size, *image_shape)
        self.input_type = tf.as_dtype(model.inputs[0].dtype).name

        def call(images: Any) -> Any:
            (output,) = tf.nest.flatten(model(images, training=False))
            return output

        signature = [tf.TensorSpec(self.input_shape, self.input_type)]
        self._function = tf.function(call, input_signature=signature, autograph=False).get_concrete_function()
        self._constant = tf.constant
        self._model = model  # a traced function does not keep its variables alive
        (output,) = self._function.outputs
        if not output.dtype.is_floating:
            raise ValueError(f"the model has outputs of type {output.dtype.name}, expected floating-point numbers")
        self.step = smallest_step(output.dtype.name)

    def _run_batch(self, batch: NDArray[np.generic]) -> NDArray[np.float64]:
        return np.asarray(self._function(self._constant(batch)), dtype=np.float64).reshape(len(batch), -1)


def load_model(path: Path) -> Any:
    """Load a whole Keras model from a .keras or .h5 file in safe mode, which refuses Python code in it.

    Raises:
        ValueError: Keras cannot load it.
    """
    import keras

    from metrifier_core.layers import LAYERS

    try:
        model = keras.saving.load_model(path, LAYERS, compile=False, safe_mode=True)
        return keras.Model(model.inputs, model.outputs)
    except Exception as error:
        raise ValueError(f"{path} is not a whole model that Keras can load: {error}") from error


def load_saved_model(path: Path) -> Signature:
    """Load the signature `serving_default` of a SavedModel folder.

    Raises:
        ValueError: TensorFlow cannot load it, or it has operations that reach outside the model.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        stored = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
        graphs = [part.graph_def for part in stored.meta_graphs]
        nodes = [node for graph in graphs for node in graph.node]
        nodes += [node for graph in graphs for function in graph.library.function for node in function.node_def]
        unsafe = {node.op for node in nodes if _UNSAFE_OPERATIONS.fullmatch(node.op)}
        if unsafe:
            raise ValueError(f"it reaches outside the model by {', '.join(sorted(unsafe))}")
        loaded = tf.saved_model.load(path)
        signature = loaded.signatures["serving_default"]
        inputs = list(signature.structured_input_signature[1].values())
        return Signature(loaded, inputs, list(signature.structured_outputs))
    except Exception as error:
        raise ValueError(f"{path} is not a SavedModel that can be used: {error}") from error
