"""Keras files and SavedModels: same outputs as the model, incomplete files and unsafe models refused."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrifier_core.execution.checksums import path_sha256
from metrifier_core.runtimes.keras_runtime import KerasNetwork, load_model, load_saved_model
from metrifier_core.workers import ExportedSpec, Worker, copy_weights, find_weights, open_worker
from tests.helpers.tiny_keras import (
    IMAGES,
    INTERFACE,
    SIZE,
    check_outputs,
    check_threads,
    expected_outputs,
    make_network,
    unit_pixels,
)

FILES = ["tiny.keras", "tiny.h5", "saved_model"]


def load(path: Path) -> Any:
    return load_saved_model(path) if path.suffix == "" else load_model(path)


@pytest.fixture(scope="module")
def network() -> Any:
    return make_network()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, network: Any) -> Path:
    """Provide a Keras classifier as a file of each kind."""
    folder = tmp_path_factory.mktemp("keras")
    network.save(folder / "tiny.keras")
    network.save(folder / "tiny.h5")
    network.export(folder / "saved_model", verbose=False)
    return folder


# The same answers


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("batch_size", [None, 3])
def test_a_file_answers_as_the_model_that_it_was_made_of(
    file: str, batch_size: int | None, folder: Path, network: Any
) -> None:
    loaded = KerasNetwork(load(folder / file), batch_size)
    assert loaded.input_shape == (batch_size or 1, SIZE, SIZE, 3)
    assert (loaded.input_type, loaded.batch_size, loaded.step) == ("float32", batch_size or 1, 2.0**-149)
    check_outputs(loaded, expected_outputs(network))


@pytest.mark.parametrize("file", FILES)
def test_several_threads_may_run_a_model_at_once(file: str, folder: Path) -> None:
    check_threads(KerasNetwork(load(folder / file)), unit_pixels)


@pytest.mark.parametrize(("file", "kind"), [*zip(FILES, ["keras", "keras", "saved_model"], strict=True)])
def test_a_catalogue_may_name_any_of_the_files(
    file: str, kind: str, folder: Path, network: Any, tmp_path: Path
) -> None:
    entry = {"format": kind, "family": "tiny", "file": str(folder / file), "sha256": path_sha256(folder / file)}
    spec = ExportedSpec.model_validate({**entry, "batch_size": 2, **INTERFACE.model_dump()})
    weights = find_weights("mine", spec)
    assert weights is not None
    # The copy beside a worker's card works, too.
    for path in (weights, copy_weights("mine", weights, tmp_path)):
        worker = open_worker(spec, path)
        assert worker.batch_size == 2
        np.testing.assert_allclose(worker.logits(IMAGES), expected_outputs(network), rtol=1e-4, atol=1e-5)


def test_a_model_in_which_layers_differ_in_training_is_not_in_training() -> None:
    """In training, dropout would zero most pixels, and normalisation use the batch's mean."""
    import keras

    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.BatchNormalization(epsilon=0)(keras.layers.Dropout(0.9)(inputs))
    outputs = Worker(KerasNetwork(keras.Model(inputs, keras.layers.Flatten()(x))), INTERFACE).outputs(IMAGES)
    np.testing.assert_allclose(outputs, [unit_pixels(image).ravel() for image in IMAGES], rtol=1e-6)


def test_a_model_of_whole_pixels_is_given_them() -> None:
    import keras

    inputs = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    outputs = keras.layers.Flatten()(keras.ops.cast(inputs, "float32"))
    network = KerasNetwork(keras.Model(inputs, outputs))
    assert network.input_type == "uint8"
    worker = Worker(network, INTERFACE.model_copy(update={"dtype": "uint8", "scale": 1.0}))
    np.testing.assert_array_equal(worker.outputs(IMAGES), [image.ravel() for image in IMAGES])


# Files that are not whole


@pytest.mark.parametrize("file", ["tiny.keras", "tiny.h5"])
@pytest.mark.parametrize("kept", [0, 10, 7_000, -1])
def test_a_cut_file_is_refused(file: str, kept: int, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / file
    path.write_bytes((folder / file).read_bytes()[:kept])
    with pytest.raises(ValueError, match=rf"^{path} is not a whole model that Keras can load: "):
        load_model(path)


@pytest.mark.parametrize("file", ["other.keras", "other.h5"])
def test_a_file_of_another_kind_is_refused(file: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.write_bytes(b"<html>404</html>" * 100)
    with pytest.raises(ValueError, match=rf"^{path} is not a whole model that Keras can load: "):
        load_model(path)


def test_a_file_of_weights_alone_is_refused(network: Any, tmp_path: Path) -> None:
    path = tmp_path / "tiny.weights.h5"
    network.save_weights(path)
    with pytest.raises(ValueError, match=rf"^{path} is not a whole model that Keras can load: No model config"):
        load_model(path)


@pytest.mark.parametrize(
    "file", ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]
)
@pytest.mark.parametrize("share", [None, 0.0, 0.5, 0.9])
def test_a_saved_model_that_is_not_whole_is_refused(
    file: str, share: float | None, folder: Path, tmp_path: Path
) -> None:
    path = shutil.copytree(folder / "saved_model", tmp_path / "cut")
    content = (path / file).read_bytes()
    if share is None:
        (path / file).unlink()
    else:
        (path / file).write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=rf"^{path} is not a SavedModel that can be used: "):
        load_saved_model(path)


def test_what_is_no_saved_model_is_refused(folder: Path, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere", folder / "tiny.keras"):
        with pytest.raises(ValueError, match=rf"^{path} is not a SavedModel that can be used: "):
            load_saved_model(path)


# Models that take or give something else


def several_inputs() -> Any:
    import keras

    inputs = [keras.Input((SIZE, SIZE, 3), name=name) for name in ("first", "second")]
    return keras.Model(inputs, keras.layers.Flatten()(keras.layers.Add()(inputs)))


def several_outputs() -> Any:
    import keras

    inputs = keras.Input((SIZE, SIZE, 3))
    return keras.Model(inputs, [keras.layers.Flatten()(inputs), keras.layers.GlobalAveragePooling2D()(inputs)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (several_inputs, "the model has 2 inputs and 1 outputs, expected one of each"),
        (several_outputs, "the model has 1 inputs and 2 outputs, expected one of each"),
    ],
)
@pytest.mark.parametrize("file", ["several.keras", "several"])
def test_more_than_one_input_or_output_is_refused(
    make: Callable[[], Any], message: str, file: str, tmp_path: Path
) -> None:
    path = tmp_path / file
    if path.suffix:
        make().save(path)
    else:
        make().export(path, verbose=False)
    with pytest.raises(ValueError, match=message):
        KerasNetwork(load(path))


def test_a_saved_model_without_a_way_to_call_it_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.weight = tf.Variable(1.0)
    tf.saved_model.save(module, tmp_path)
    with pytest.raises(ValueError, match=rf"^{tmp_path} is not a SavedModel that can be used: 'serving_default'$"):
        load_saved_model(tmp_path)


# Models that bring Python, or reach outside


@pytest.mark.parametrize("file", ["lambda.keras", "lambda.h5"])
def test_a_file_that_brings_python_is_refused(file: str, tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Lambda(lambda pixels: pixels * 2)(inputs)
    keras.Model(inputs, keras.layers.Flatten()(x)).save(tmp_path / file)
    with pytest.raises(ValueError, match=rf"{file} is not a whole model that Keras can load: .* a `Lambda` layer"):
        load_model(tmp_path / file)


def test_a_file_that_loads_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.TFSMLayer(str(folder / "saved_model"), call_endpoint="serve")(inputs)
    path = tmp_path / "outer.keras"
    keras.Model(inputs, x).save(path)
    with pytest.raises(ValueError, match=rf"^{path} is not a whole model that Keras can load: .* `TFSMLayer`"):
        load_model(path)


def save_function(path: Path, act: Callable[[Any], Any]) -> Path:
    """Save a SavedModel that calls a function on its flattened images."""
    import tensorflow as tf

    # Nested, so that only a search through all functions finds it.
    inner = tf.function(act)

    def classify(images: Any) -> dict[str, Any]:
        return {"logits": inner(tf.reshape(images, (tf.shape(images)[0], -1)))}

    module = tf.Module()
    module.serve = tf.function(classify, input_signature=[tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32, "images")])
    tf.saved_model.save(module, path, signatures={"serving_default": module.serve})
    return path


def test_a_saved_model_of_functions_alone_answers(tmp_path: Path) -> None:
    network = KerasNetwork(load_saved_model(save_function(tmp_path / "model", lambda rows: 2 * rows)))
    outputs = Worker(network, INTERFACE).outputs(IMAGES)
    np.testing.assert_allclose(outputs, [2 * unit_pixels(image).ravel() for image in IMAGES], rtol=1e-6)


def actions(target: Path) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Yield functions that reach outside a model, with the name of their operation."""
    import tensorflow as tf

    def write(rows: Any) -> Any:
        tf.io.write_file(str(target), "written")
        return rows

    def read(rows: Any) -> Any:
        return rows + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)

    def list_files(rows: Any) -> Any:
        return rows + tf.cast(tf.size(tf.io.matching_files("/etc/*")), tf.float32)

    def print_into_a_file(rows: Any) -> Any:
        tf.print("written", output_stream=f"file://{target}")
        return rows

    def read_lines(rows: Any) -> Any:
        lines = tf.data.TextLineDataset("/etc/hostname")
        return rows + lines.reduce(0.0, lambda total, line: total + tf.cast(tf.strings.length(line), tf.float32))

    def read_another_way(rows: Any) -> Any:
        queue = tf.raw_ops.FIFOQueueV2(component_types=[tf.string])
        reader = tf.raw_ops.WholeFileReaderV2()
        _, content = tf.raw_ops.ReaderReadV2(reader_handle=reader, queue_handle=queue)
        return rows + tf.cast(tf.strings.length(content), tf.float32)

    def cache_in_a_file(rows: Any) -> Any:
        numbers = tf.data.Dataset.range(2).cache(str(target))
        return rows + tf.cast(numbers.reduce(np.int64(0), lambda total, number: total + number), tf.float32)

    yield "PrintV2", print_into_a_file
    yield "WholeFileReaderV2", read_another_way
    yield "CacheDatasetV2", cache_in_a_file
    yield "TextLineDataset", read_lines
    yield "WriteFile", write
    yield "ReadFile", read
    yield "MatchingFiles", list_files
    yield "EagerPyFunc", lambda rows: tf.py_function(lambda values: values, [rows], tf.float32)
    yield "PyFunc", lambda rows: tf.numpy_function(lambda values: values, [rows], tf.float32)
    yield "PyFuncStateless", lambda rows: tf.numpy_function(lambda values: values, [rows], tf.float32, stateful=False)


def test_a_saved_model_that_reaches_outside_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    for operation, act in actions(target):
        path = save_function(tmp_path / operation, act)
        with pytest.raises(
            ValueError,
            match=rf"^{path} is not a SavedModel that can be used: it reaches outside the model by {operation}$",
        ):
            load_saved_model(path)
    assert not target.exists()


def test_a_saved_model_that_acts_as_soon_as_it_is_loaded_is_not_loaded(tmp_path: Path) -> None:
    import tensorflow as tf

    target = tmp_path / "target"

    class Table(tf.saved_model.experimental.TrackableResource):  # type: ignore[misc]
        def _create_resource(self) -> Any:
            return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

        def _initialize(self) -> None:
            tf.io.write_file(str(target), "written")

    module = tf.Module()
    module.table = Table()
    module.serve = tf.function(
        lambda images: {"logits": tf.reshape(images, (1, -1))},
        input_signature=[tf.TensorSpec((1, SIZE, SIZE, 3), tf.float32, "images")],
    )
    path = tmp_path / "model"
    tf.saved_model.save(module, path, signatures={"serving_default": module.serve})
    target.unlink(missing_ok=True)
    with pytest.raises(ValueError, match=r"it reaches outside the model by WriteFile$"):
        load_saved_model(path)
    assert not target.exists()
    tf.saved_model.load(path)
    assert target.read_text() == "written", "or else this test would show nothing"


@pytest.mark.parametrize("reduced_precision", [False, True])
def test_precision_is_reduced_only_where_it_is_asked_for(reduced_precision: bool, network: Any) -> None:
    import tensorflow as tf

    outputs = Worker(KerasNetwork(network, reduced_precision=reduced_precision), INTERFACE).outputs(IMAGES)
    assert tf.config.experimental.tensor_float_32_execution_enabled() is reduced_precision
    np.testing.assert_allclose(outputs, expected_outputs(network), rtol=1e-2, atol=1e-2)
    KerasNetwork(network)
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


def test_a_saved_model_of_one_size_of_batch_keeps_it(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    serve = tf.function(lambda rows: tf.reduce_mean(rows, [1, 2]), [tf.TensorSpec([4, SIZE, SIZE, 3], tf.float32)])
    tf.saved_model.save(module, tmp_path / "fixed", signatures=serve)
    loaded = KerasNetwork(load_saved_model(tmp_path / "fixed"), 2)
    assert loaded.batch_size == 4
    assert loaded.run(np.ones((4, SIZE, SIZE, 3), np.float32)).tolist() == [[1.0] * 3] * 4


def test_a_saved_model_that_does_not_say_what_it_takes_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    serve = tf.function(lambda rows: tf.reduce_mean(rows, -1), [tf.TensorSpec(None, tf.float32)])
    tf.saved_model.save(module, tmp_path / "any", signatures=serve)
    with pytest.raises(ValueError, match="the model has an input of unknown shape"):
        KerasNetwork(load_saved_model(tmp_path / "any"))


def test_answers_that_are_whole_numbers_are_refused() -> None:
    import keras

    inputs = keras.Input((SIZE, SIZE, 3))
    best = keras.ops.argmax(keras.layers.Flatten()(inputs), axis=-1)
    with pytest.raises(ValueError, match="the model has outputs of type int"):
        KerasNetwork(keras.Model(inputs, best))
