"""Classifiers in Keras and TensorFlow."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrifier_core.workers.network import smallest_step

_GPU_BATCH = 32

# What reaches outside a model: Python that stands in the process, and files that no checkpoint needs.
_UNSAFE_OPERATIONS = re.compile(
    r"(Eager)?PyFunc(Stateless)?|MatchingFiles(Dataset)?|(Whole)?(ReadFile|WriteFile|FileReader)(V2)?|ImmutableConst"
    r"|(TextLine|TFRecord|FixedLengthRecord)\w*|\w*DatasetToTFRecord|(Save|Load|DistributedSave)Dataset\w*"
    r"|(CSV|Sql|LMDB|Cache|Snapshot)\w*Dataset\w*|CreateSummary\w*Writer|DebugIdentity\w*|Print(V2)?"
)


@dataclass(frozen=True)
class Signature:
    """The one way from images to a value a class through a SavedModel, in the manner of a Keras model.

    Attributes:
        model: What was loaded.
        inputs: The tensor that it takes.
        outputs: Names of what it gives.
    """

    model: Any
    inputs: list[Any]
    outputs: list[str]

    def __call__(self, images: Any, *, training: bool) -> Any:
        """Calls the signature; a SavedModel is never in training."""
        del training
        return self.model.signatures["serving_default"](**{self.inputs[0].name: images})[self.outputs[0]]


class KerasNetwork:
    """A model on TensorFlow, on a GPU where it finds one. See `Network`."""

    def __init__(self, model: Any, batch_size: int | None = None, reduced_precision: bool = False) -> None:
        """Compiles a model for one size of batch.

        Args:
            model: A Keras model, or the signature of a SavedModel.
            batch_size: Images a call; 1 on a CPU and 32 on a GPU where None.
            reduced_precision: Let a GPU multiply in TF32.

        Raises:
            ValueError: It has more than one input or output, an input of unknown shape, or gives whole numbers.
        """
        import tensorflow as tf

        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise ValueError(
                f"the model has {len(model.inputs)} inputs and {len(model.outputs)} outputs, not one of each"
            )
        shape = tf.TensorShape(model.inputs[0].shape)
        if not shape.rank:
            raise ValueError("the model does not say what shape it takes")
        fixed_batch, *image_shape = shape.as_list()
        gpu = bool(tf.config.list_physical_devices("GPU"))
        tf.config.experimental.enable_tensor_float_32_execution(reduced_precision)
        self.batch_size = fixed_batch or batch_size or (_GPU_BATCH if gpu else 1)
        self.input_shape = (self.batch_size, *image_shape)
        self.input_type = tf.as_dtype(model.inputs[0].dtype).name

        def classify(images: Any) -> Any:
            (output,) = tf.nest.flatten(model(images, training=False))
            return output

        signature = [tf.TensorSpec(self.input_shape, self.input_type)]
        self._function = tf.function(classify, input_signature=signature, autograph=False).get_concrete_function()
        self._constant = tf.constant
        (output,) = self._function.outputs
        if not output.dtype.is_floating:
            raise ValueError(f"the model gives {output.dtype.name}, not numbers with a fraction")
        self.step = smallest_step(output.dtype.name)

    def run(self, batch: NDArray[np.generic]) -> NDArray[np.float64]:
        """Runs it; see `Network`."""
        output = self._function(self._constant(batch))
        return np.asarray(output, dtype=np.float64).reshape(len(batch), -1)


def load_model(path: Path) -> Any:
    """Loads a whole Keras model, a .keras or .h5 file; one that brings its own Python is refused.

    Raises:
        ValueError: Keras cannot load it.
    """
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        return keras.Model(model.inputs, model.outputs)
    except Exception as error:
        raise ValueError(f"{path} is not a whole model that Keras can load: {error}") from error


def load_saved_model(path: Path) -> Signature:
    """Loads the signature `serving_default` of a SavedModel, a folder.

    Raises:
        ValueError: TensorFlow cannot load it, or it reaches outside the model.
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
