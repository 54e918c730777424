"""Multitap networks: the pretrained classifier inside is the one that its weights are of."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from metrifier_core.architectures import assign_kernels, create_network, read_kernels
from metrifier_core.architectures.mobilenet import TRUNK
from metrifier_core.checksums import path_sha256
from metrifier_core.training import MetrifierSettings
from metrifier_core.workers import ApplicationSpec, read_catalogue

REALDATA = Path(__file__).parents[3] / "shared" / "realdata"
CATALOGUE = Path(__file__).parents[1] / "realdata" / "workers.yaml"
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


def class_logits(keras: Any, network: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the classifier inside a network answers."""
    last = max(
        (layer for layer in network.layers if layer.name.startswith(TRUNK)),
        key=lambda layer: int(layer.name.removeprefix(TRUNK)),
    )
    return np.asarray(keras.Model(network.inputs, last.output)(images))


@pytest.fixture(scope="module", params=APPLICATIONS)
def pretrained(request: pytest.FixtureRequest, keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A network's name, a `keras.applications` classifier with weights of its own, and the entry of their file."""
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


@pytest.fixture(scope="module")
def small() -> Any:
    return create_network("multitap_small")


@pytest.mark.parametrize("side", [64, 224, 301])
def test_any_size_has_scores_that_do_not_depend_on_the_batch(small: Any, side: int) -> None:
    images = make_images(7, side)
    alone = np.concatenate([small(images[index : index + 1]).numpy() for index in range(7)])
    np.testing.assert_allclose(small(images).numpy(), alone, atol=1e-6)
    assert ((alone > 0) & (alone < 1)).all()


def test_it_loads_in_safe_mode(keras: Any, small: Any, tmp_path: Path) -> None:
    small.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    images = make_images(2, 96)
    np.testing.assert_array_equal(loaded(images).numpy(), small(images).numpy())


def test_sorted_probabilities_of_known_logits() -> None:
    from metrifier_core.architectures.layers import SortedProbabilities

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
    with pytest.raises(ValidationError, match="backbone: wants other pixels than a multitap shows it"):
        MetrifierSettings.model_validate({"architecture": "multitap_large", "backbone": onnx})
