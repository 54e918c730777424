"""Multitap networks: the classifier inside answers like the one that its weights come from."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from metrifier_core.architectures import (
    assign_kernels,
    check_backbone,
    create_network,
    list_architectures,
    read_kernels,
)
from metrifier_core.architectures.head import TRUNK
from metrifier_core.execution.checksums import path_sha256
from metrifier_core.execution.determinism import start_training
from metrifier_core.export import export_network, export_onnx
from metrifier_core.runtimes import RUNTIME_FILES
from metrifier_core.training import MetrifierSettings
from metrifier_core.workers import ApplicationSpec, ExportedSpec, read_catalogue

REALDATA = Path(__file__).parents[4] / "shared" / "realdata"
CATALOGUE = Path(__file__).parents[2] / "realdata" / "workers.yaml"
APPLICATIONS: dict[str, dict[str, Any]] = {
    "multitap_small": {"family": "MobileNetV1", "application": "MobileNet", "alpha": 0.25},
    "multitap_large": {"family": "MobileNetV2", "application": "MobileNetV2"},
}


@pytest.fixture(scope="module")
def keras() -> Any:
    import keras

    return keras


def make_images(count: int, side: int = 224) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def classifying_layer(network: Any) -> Any:
    """Return the last layer of the classifier inside a network."""
    trunk = (layer for layer in network.layers if layer.name.startswith(TRUNK))
    return max(trunk, key=lambda layer: int(layer.name.removeprefix(TRUNK)))


def class_logits(keras: Any, network: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the logits of the classifier inside a network."""
    return np.asarray(keras.Model(network.inputs, classifying_layer(network).output)(images))


@pytest.fixture(scope="module", params=APPLICATIONS)
def pretrained(request: pytest.FixtureRequest, keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Provide a network's name, a `keras.applications` classifier with random weights, and the entry of their file."""
    keras.utils.set_random_seed(0)
    entry = APPLICATIONS[request.param]
    width = {"alpha": entry["alpha"]} if "alpha" in entry else {}
    model = getattr(keras.applications, entry["application"])(weights=None, classifier_activation=None, **width)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.get_weights()[0].shape
            means = rng.normal(0, 0.1, (2, *shape))
            layer.set_weights([rng.uniform(0.8, 1.2, shape), *means, rng.uniform(0.5, 1.5, shape)])
    path = tmp_path_factory.mktemp("weights") / "application.weights.h5"
    model.save_weights(path)
    spec = ApplicationSpec(format="keras_applications", weights=str(path), sha256=path_sha256(path), **entry)
    return request.param, model, spec


def test_batch_normalisation_is_folded_into_the_convolutions(keras: Any, pretrained: Any) -> None:
    name, model, spec = pretrained
    network = create_network(name)
    assign_kernels(network, read_kernels(spec))
    images = make_images(2)
    expected = np.asarray(model(images / np.float32(127.5) - 1))
    found = class_logits(keras, network, images)
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_weights_of_another_network_are_refused(pretrained: Any) -> None:
    name, _, spec = pretrained
    kernels = read_kernels(spec)
    other = "multitap_small" if name == "multitap_large" else "multitap_large"
    with pytest.raises(ValueError, match=r"^backbone: has \d+ layers with weights, the architecture \d+$"):
        assign_kernels(create_network(other), kernels)
    with pytest.raises(ValueError, match=r"^backbone: layer \d+ has weights of \(.*, 1000\), the architecture of"):
        assign_kernels(create_network(name, 100), kernels)


def test_another_checksum_is_refused(pretrained: Any) -> None:
    _, _, spec = pretrained
    with pytest.raises(ValueError, match="sha256"):
        read_kernels(spec.model_copy(update={"sha256": "0" * 64}))


def classifier_in_onnx(keras: Any, network: Any, path: Path, **changes: Any) -> ExportedSpec:
    """Export the classifier inside a network and return its entry."""
    pixels = network.get_layer(f"{TRUNK}0").input
    onnx_file = path / "classifier.onnx"
    inside = keras.Model(pixels, classifying_layer(network).output)
    inside(np.zeros((1, 224, 224, 3), np.float32))
    export_onnx(inside, onnx_file)
    entry = {"format": "onnx", "family": "x", "file": str(onnx_file), "sha256": path_sha256(onnx_file)}
    preprocessing = {"layout": "NHWC", "scale": 1 / 127.5, "mean": [1.0] * 3, "std": [1.0] * 3, "outputs": "logits"}
    return ExportedSpec.model_validate({**entry, **preprocessing, **changes})


def test_weights_that_answer_otherwise_than_their_file_are_refused(keras: Any, pretrained: Any, tmp_path: Path) -> None:
    name, _, application = pretrained
    if name == "multitap_large":
        pytest.skip("one is enough")
    network = create_network(name)
    assign_kernels(network, read_kernels(application))
    spec = classifier_in_onnx(keras, network, tmp_path)
    check_backbone(network, spec)
    # Same shapes, but another computation, as with another padding or activation.
    last = classifying_layer(network)
    kernel, bias = last.get_weights()
    last.set_weights([kernel[..., ::-1], bias])
    with pytest.raises(ValueError, match=r"classifier.onnx has the shapes of the architecture, but is another network"):
        check_backbone(network, spec)


@pytest.mark.realdata
@pytest.mark.skipif(not REALDATA.is_dir(), reason="the real workers are not beside the checkout")
@pytest.mark.parametrize(
    ("name", "worker"),
    [("multitap_small", "keras_mobilenet_v1_025_224"), ("multitap_large", "mobilenet_v2_1.0_224")],
)
def test_real_weights_answer_as_the_real_worker(keras: Any, name: str, worker: str) -> None:
    from metrifier_core.workers import open_worker

    spec: Any = read_catalogue(CATALOGUE)[worker]
    kernels = read_kernels(spec)
    network = create_network(name, len(kernels[-1].bias))
    assign_kernels(network, kernels)
    images = make_images(2)
    weights = Path(getattr(spec, "file", None) or spec.weights)
    expected = open_worker(spec, weights).outputs(list(images))
    assert np.abs(class_logits(keras, network, images) - expected).max() < 1e-2
    if isinstance(spec, ExportedSpec):
        check_backbone(network, spec)


@pytest.fixture(scope="module")
def small() -> Any:
    return create_network("multitap_small")


@cache
def learn_noise(name: str) -> Any:
    """Return a network after some training steps, whose scores of noise of several strengths differ."""
    import keras

    start_training(0)
    network = create_network(name)
    network.compile(keras.optimizers.AdamW(1e-3), keras.losses.BinaryCrossentropy(), run_eagerly=True)
    for _ in range(8):
        network.train_on_batch(noisy_images(16, 64), np.linspace(0, 1, 16, dtype=np.float32)[:, None])
    return network


@pytest.fixture(scope="module", params=list_architectures())
def trained(request: pytest.FixtureRequest) -> Any:
    return learn_noise(request.param)


def noisy_images(count: int, side: int) -> NDArray[np.uint8]:
    """Noise of several strengths around grey."""
    strengths = np.linspace(1, 90, count)[:, None, None, None]
    noise = np.random.default_rng(0).normal(128, strengths, (count, side, side, 3))
    return np.clip(noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("side", "count"), [(64, 32), (64, 7), (224, 7), (301, 3)])
def test_any_size_has_scores_that_do_not_depend_on_the_batch(trained: Any, side: int, count: int) -> None:
    images = noisy_images(count, side)
    alone = np.concatenate([trained(images[index : index + 1]).numpy() for index in range(count)])
    assert np.ptp(alone) > 1e-2, "scores that are all alike would say nothing"
    assert ((alone > 0) & (alone < 1)).all()
    # Last digits of float32: a batch is summed in another order.
    np.testing.assert_allclose(trained(images).numpy(), alone, atol=1e-6)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_file_of_a_multitap_scores_as_it_does(name: str, tmp_path: Path) -> None:
    images = noisy_images(8, 64)
    checks = export_network(learn_noise(name), tmp_path, images, noisy_images(6, 64))
    assert len(checks) == len(RUNTIME_FILES)


def test_it_loads_in_safe_mode(keras: Any, small: Any, tmp_path: Path) -> None:
    small.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    images = make_images(2, 96)
    np.testing.assert_array_equal(loaded(images).numpy(), small(images).numpy())


def test_sorted_probabilities_of_known_logits() -> None:
    from metrifier_core.layers import SortedProbabilities

    logits = np.log(np.array([[1.0, 4.0, 2.0, *[1e-3] * 40]], np.float32))
    found = np.exp(np.asarray(SortedProbabilities()(logits)))[0]
    total = 7 + 0.04
    np.testing.assert_allclose(found, np.array([4, 2, 1, *[1e-3] * 29]) / total, rtol=1e-5)


def test_settings_choose_the_weights_that_keras_publishes() -> None:
    assert MetrifierSettings(architecture="nano").backbone is None
    backbone = MetrifierSettings(architecture="multitap_large").backbone
    assert isinstance(backbone, ApplicationSpec)
    assert (backbone.application, backbone.weights) == ("MobileNetV2", "imagenet")


def test_settings_refuse_a_backbone_that_cannot_be_one() -> None:
    entry = {"format": "keras_applications", "family": "MobileNetV1", "application": "MobileNet"}
    with pytest.raises(ValidationError, match="backbone: nano is trained from scratch and has none"):
        MetrifierSettings.model_validate({"architecture": "nano", "backbone": entry})
    onnx = {
        "format": "onnx",
        "family": "x",
        "file": "x.onnx",
        "sha256": "0" * 64,
        "layout": "NHWC",
        "outputs": "logits",
    }
    with pytest.raises(ValidationError, match=r"backbone: expected a classifier that takes x / 127\.5 - 1 in RGB"):
        MetrifierSettings.model_validate({"architecture": "multitap_large", "backbone": onnx})
