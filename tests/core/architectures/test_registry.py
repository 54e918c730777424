"""Networks: small, of any input size, and the same on disk as in memory."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from metrifier_core.architectures import create_network, list_architectures
from metrifier_core.export import export_onnx
from metrifier_core.export.keras_file import export_keras
from metrifier_core.training import MetrifierSettings

SHAPES = [(32, 32), (64, 64), (224, 224), (48, 100), (300, 33)]


def make_batch(height: int, width: int, images: int = 2) -> NDArray[np.uint8]:
    return np.random.default_rng([height, width]).integers(0, 256, (images, height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def keras() -> Any:
    import keras

    return keras


@pytest.fixture(scope="module")
def nano(keras: Any) -> Any:
    """Provide a nano after one step of training, on noise and on flat images."""
    keras.utils.set_random_seed(0)
    network = create_network("nano")
    network.compile(keras.optimizers.AdamW(1e-2), keras.losses.BinaryCrossentropy(), run_eagerly=True)
    batch = make_batch(64, 64, 8)
    batch[0], batch[1] = 0, 255
    network.train_on_batch(batch, np.linspace(0, 1, 8, dtype=np.float32)[:, None])
    return network


@pytest.fixture(scope="module")
def exported(nano: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    export_keras(nano, folder / "metrifier.keras")
    export_onnx(nano, folder / "metrifier.onnx")
    return folder


def test_unknown_names_answer_with_what_is_close() -> None:
    assert "nano" in list_architectures()
    with pytest.raises(ValueError, match=r"unknown architecture 'nanno', did you mean 'nano'\?"):
        create_network("nanno")
    with pytest.raises(ValidationError, match=r"unknown architecture 'nanno', did you mean 'nano'\?"):
        MetrifierSettings(architecture="nanno")


def test_nano_is_small(nano: Any) -> None:
    assert 100_000 <= nano.count_params() <= 150_000


def test_flat_images_leave_the_weights_finite(nano: Any) -> None:
    assert all(np.isfinite(weights).all() for weights in nano.get_weights())


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_any_size_has_scores_in_the_unit_interval(nano: Any, height: int, width: int) -> None:
    scores = nano(make_batch(height, width)).numpy()
    assert scores.shape == (2, 1)
    assert ((scores > 0) & (scores < 1)).all()
    assert scores[0] != scores[1]


def test_a_score_does_not_depend_on_its_batch(nano: Any) -> None:
    batch = make_batch(64, 48, 5)
    alone = np.concatenate([nano(batch[index : index + 1]).numpy() for index in range(5)])
    np.testing.assert_allclose(nano(batch).numpy(), alone, atol=1e-6)


def texture_layer(network: Any) -> Any:
    """Return the stem with the zero-sum filters."""
    (layer,) = [layer for layer in network.layers if getattr(layer, "kernel_constraint", None) is not None]
    return layer


def test_texture_filters_add_up_to_zero_after_training(nano: Any) -> None:
    before = texture_layer(create_network("nano")).get_weights()[0]
    (kernel,) = texture_layer(nano).get_weights()
    assert kernel.shape == before.shape == (5, 5, 3, 8)
    np.testing.assert_allclose(kernel.sum(axis=(0, 1)), 0, atol=1e-5)
    assert np.abs(kernel).max() > 1e-2


def test_texture_filters_are_blind_to_brightness(keras: Any, nano: Any) -> None:
    layer = texture_layer(nano)
    texture = keras.Model(nano.inputs, layer.output)
    flat = np.stack([np.full((32, 32, 3), value, np.uint8) for value in (0, 90, 255)])
    # Zero padding makes an edge around the image, which the outermost filters see.
    inner = texture(flat).numpy()[:, 1:-1, 1:-1]
    np.testing.assert_allclose(inner, 0, atol=1e-5)
    assert np.abs(texture(make_batch(32, 32)).numpy()[:, 1:-1, 1:-1]).max() > 0.1


def test_zero_sum_projects_each_filter_and_channel(keras: Any) -> None:
    from metrifier_core.layers import ZeroSum

    weights = np.random.default_rng(0).normal(1, 1, (5, 5, 3, 8)).astype(np.float32)
    projected = np.asarray(keras.ops.convert_to_numpy(ZeroSum()(weights)))
    np.testing.assert_allclose(projected, weights - weights.mean(axis=(0, 1)), atol=1e-6)


def test_pooled_statistics_of_known_features() -> None:
    from metrifier_core.layers import PooledStatistics

    features = np.zeros((2, 2, 2, 2), np.float32)
    features[0, :, :, 0] = [[1, 2], [3, 4]]
    features[0, :, :, 1] = -5
    features[1, :, :, 0] = [[0, 0], [0, 8]]
    pooled = PooledStatistics()(features).numpy()
    deviation = np.sqrt([1.25 + 1e-6, 1e-6, 12 + 1e-6, 1e-6])
    expected = [
        [2.5, -5, deviation[0], deviation[1], 4, -5],
        [2, 0, deviation[2], deviation[3], 8, 0],
    ]
    np.testing.assert_allclose(pooled, expected, rtol=1e-6)


def test_saved_network_loads_in_safe_mode(keras: Any, nano: Any, exported: Path) -> None:
    loaded = keras.saving.load_model(exported / "metrifier.keras", safe_mode=True)
    batch = make_batch(48, 100)
    np.testing.assert_array_equal(loaded(batch).numpy(), nano(batch).numpy())
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in loaded.layers)


@pytest.mark.parametrize(("height", "width"), SHAPES)
@pytest.mark.parametrize("images", [1, 3])
def test_onnx_scores_as_keras(nano: Any, exported: Path, height: int, width: int, images: int) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(exported / "metrifier.onnx", providers=["CPUExecutionProvider"])
    (inputs,) = session.get_inputs()
    batch = make_batch(height, width, images)
    (scores,) = session.run(None, {inputs.name: batch})
    assert inputs.type == "tensor(uint8)"
    np.testing.assert_allclose(scores, nano(batch).numpy(), atol=1e-5)


def test_a_keras_file_has_no_date(exported: Path) -> None:
    with zipfile.ZipFile(exported / "metrifier.keras") as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert set(json.loads(archive.read("metadata.json"))) == {"keras_version"}
