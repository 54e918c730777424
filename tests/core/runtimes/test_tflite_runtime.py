"""TFLite files: same outputs as in Keras, incomplete files refused."""

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from metrifier_core.runtimes import open_runtime
from metrifier_core.runtimes.tflite_runtime import TfliteNetwork
from metrifier_core.workers import ModelInterface, Worker
from tests.helpers.tiny_keras import (
    CLASSES,
    IMAGES,
    INTERFACE,
    SIZE,
    check_outputs,
    check_threads,
    expected_outputs,
    make_network,
    unit_pixels,
)

# A quantised classifier takes the image's own integers, as its input range is 0 to 1.
INTEGERS = {
    "uint8": INTERFACE.model_copy(update={"dtype": "uint8", "scale": 1.0}),
    "int8": INTERFACE.model_copy(update={"dtype": "int8", "scale": 1.0, "mean": (128.0, 128.0, 128.0)}),
}


def convert(network: Any, quantised: str | None = None) -> bytes:
    """Convert a Keras classifier to TFLite."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    if quantised is not None:

        def examples() -> Iterator[list[NDArray[np.float32]]]:
            for image in (np.zeros_like(IMAGES[0]), np.full_like(IMAGES[0], 255), *IMAGES):
                yield [unit_pixels(image)[None]]

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = examples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(quantised)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected")
        return bytes(converter.convert())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tflite")


@pytest.fixture(scope="module")
def keras_network() -> Any:
    return make_network()


@pytest.fixture(scope="module")
def converted(folder: Path, keras_network: Any) -> Path:
    path = folder / "tiny.tflite"
    path.write_bytes(convert(keras_network))
    return path


@pytest.fixture(scope="module", params=list(INTEGERS))
def quantised(
    folder: Path, keras_network: Any, request: pytest.FixtureRequest
) -> tuple[Path, ModelInterface, NDArray[np.float64]]:
    """Return a quantised classifier, its interface, and the outputs of its float original."""
    path = folder / f"{request.param}.tflite"
    path.write_bytes(convert(keras_network, request.param))
    return path, INTEGERS[request.param], expected_outputs(keras_network)


def test_a_tflite_file_answers_as_the_keras_model_that_it_was_made_of(converted: Path, keras_network: Any) -> None:
    network = TfliteNetwork(converted)
    assert network.input_shape == (None, SIZE, SIZE, 3)
    assert (network.input_type, network.batch_size, network.step) == ("float32", 1, 2.0**-149)
    check_outputs(network, expected_outputs(keras_network))


def test_a_quantised_file_answers_but_for_a_few_steps_as_its_keras_model(
    quantised: tuple[Path, ModelInterface, NDArray[np.float64]],
) -> None:
    path, interface, expected = quantised
    network = TfliteNetwork(path)
    assert network.input_type == interface.dtype
    worker = Worker(network, interface)
    outputs = worker.outputs(IMAGES)
    assert outputs.shape == expected.shape
    assert network.step == pytest.approx(np.ptp(outputs) / 255, rel=0.2), "its integers are spread over its answers"
    np.testing.assert_allclose(outputs, expected, atol=4 * network.step)
    np.testing.assert_allclose(outputs / network.step, np.rint(outputs / network.step), atol=1e-4)
    worker.check(outputs)


def test_the_step_of_quantised_probabilities_decides_what_is_too_small(folder: Path) -> None:
    """Classes that round to zero share half a step of 256; rounding may change the sum a lot."""
    network = make_network(softmax=True)
    for weight in network.layers[-1].weights:
        weight.assign(10 * weight)
    path = folder / "softmax.tflite"
    path.write_bytes(convert(network, "uint8"))
    worker = Worker(TfliteNetwork(path), INTEGERS["uint8"].model_copy(update={"outputs": "probabilities"}))
    outputs = worker.outputs(IMAGES)
    worker.check(outputs)
    logits = worker.to_logits(outputs)
    assert (outputs == 0).sum() > len(IMAGES)
    np.testing.assert_allclose(logits[outputs == 0], np.log(1 / 256 / 2 / CLASSES))
    np.testing.assert_allclose(logits[outputs > 0], np.log(outputs[outputs > 0]))

    short = np.full((3, CLASSES), 1 / CLASSES) - 0.45 / 256
    worker.check(short)
    with pytest.raises(ValueError, match="outputs: expected probabilities"):
        worker.check(short - 0.45 / 256)


def test_several_threads_may_run_a_tflite_file_at_once(converted: Path) -> None:
    check_threads(TfliteNetwork(converted), unit_pixels)


@pytest.mark.parametrize("shape", [(4, SIZE, SIZE, 3), (None, SIZE, SIZE, 3)])
def test_a_batch_has_the_size_that_the_file_has(shape: tuple[int | None, ...], folder: Path) -> None:
    import keras

    inputs = keras.Input(batch_shape=shape)
    path = folder / "batch.tflite"
    path.write_bytes(convert(keras.Model(inputs, keras.layers.Flatten()(inputs))))
    network = TfliteNetwork(path)
    assert (network.input_shape, network.batch_size) == (shape, shape[0] or 1)
    outputs = Worker(network, INTERFACE).outputs(IMAGES)
    np.testing.assert_allclose(outputs, [unit_pixels(image).ravel() for image in IMAGES], rtol=1e-6)


@pytest.mark.parametrize(
    "cut", [lambda content: content[:0], lambda content: content[:1000], lambda content: content[:-1]]
)
def test_a_cut_file_is_refused(cut: Callable[[bytes], bytes], converted: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes(cut(converted.read_bytes()))
    with pytest.raises(ValueError, match=rf"^{path} is not a whole model that LiteRT can run: "):
        TfliteNetwork(path)


@pytest.mark.parametrize("content", [b"tflite" * 1000, b"\x00" * 4096, b"<html>404</html>"])
def test_a_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.tflite"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{path} is not a whole model that LiteRT can run: "):
        TfliteNetwork(path)


def test_more_than_one_input_or_output_is_refused(folder: Path) -> None:
    import keras

    path = folder / "several.tflite"
    first, second = keras.Input((SIZE, SIZE, 3)), keras.Input((SIZE, SIZE, 3))
    path.write_bytes(convert(keras.Model([first, second], keras.layers.Add()([first, second]))))
    with pytest.raises(ValueError, match=rf"^{path} has 2 inputs and 1 outputs, expected one of each$"):
        TfliteNetwork(path)
    outputs = [keras.layers.Flatten()(first), keras.layers.GlobalAveragePooling2D()(first)]
    path.write_bytes(convert(keras.Model(first, outputs)))
    with pytest.raises(ValueError, match=rf"^{path} has 1 inputs and 2 outputs, expected one of each$"):
        TfliteNetwork(path)


def test_without_litert_it_is_said_how_to_get_it(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(ValueError, match=r"needs LiteRT, which is not installed: pip install 'metrifier\[tflite\]'$"):
        open_runtime("tflite", converted)
