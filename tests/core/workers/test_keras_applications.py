"""`keras.applications`: the preprocessing that Keras documents, and weights of other networks refused."""

import json
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from metrifier_core.execution.checksums import file_sha256
from metrifier_core.workers import ApplicationSpec, Worker, create_worker, find_weights, open_worker
from metrifier_core.workers.keras_applications import application_interface, build_application, save_application
from metrifier_core.workers.preprocessing import centre_crop, prepare
from tests.helpers.application_logits import (
    CLASSES,
    SPREADS,
    build_reference,
    example_images,
    example_logits,
    make_spec,
)
from tests.helpers.example_images import noise_image

GOLDEN: dict[str, list[list[float]]] = json.loads(Path("tests/golden/keras_applications.json").read_text())

MODULES = {
    "ResNet50": "resnet50",
    "VGG16": "vgg16",
    "MobileNetV2": "mobilenet_v2",
    "InceptionV3": "inception_v3",
    "MobileNet": "mobilenet",
}


def preprocess(application: str, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return Keras' own preprocessing of images of the right size."""
    import keras

    pixels = np.stack(images).astype(np.float32)
    return np.asarray(getattr(keras.applications, MODULES[application]).preprocess_input(pixels), np.float32)


@pytest.mark.parametrize("application", MODULES)
def test_the_preprocessing_is_that_of_keras(application: Any) -> None:
    interface = application_interface(application)
    assert interface.input_size == (299 if application == "InceptionV3" else 224)
    for image in (noise_image(1, 300, 400), noise_image(2, 150, 97), *example_images(interface.input_size)):
        crop = centre_crop(image, interface.input_size, 0.875)
        np.testing.assert_allclose(
            prepare(image, interface), preprocess(application, [crop])[0], atol=1e-4, err_msg=str(image.shape)
        )


class Seeded(NamedTuple):
    """An application with seeded weights, and Keras' own probabilities of the example images."""

    application: str
    worker: Worker
    probabilities: NDArray[np.float32]


@pytest.fixture(scope="module", params=list(MODULES))
def seeded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    application = request.param
    path = tmp_path_factory.mktemp("application") / "seeded.weights.h5"
    reference = build_reference(application)
    size = reference.input_shape[1]
    crops = [centre_crop(image, size, 0.875) for image in example_images(size)]
    probabilities = reference(preprocess(application, crops), training=False).numpy()
    reference.save_weights(path)
    del reference
    spec = make_spec(application, weights=str(path), sha256=file_sha256(path))
    yield Seeded(application, open_worker(spec, find_weights("seeded", spec)), probabilities)
    path.unlink()  # VGG16 takes half a gigabyte, and pytest keeps the folders of three runs


def test_an_application_gives_the_probabilities_of_keras_as_logits(seeded: Seeded) -> None:
    images = example_images(seeded.worker.interface.input_size)
    outputs = seeded.worker.outputs(images)
    assert outputs.shape == (2, 1000)
    seeded.worker.check(outputs)
    np.testing.assert_allclose(softmax(outputs, axis=1), seeded.probabilities, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(seeded.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert 0.5 < outputs.std() < 2, "logits of order 1"


def test_an_application_gives_what_it_always_gave(seeded: Seeded) -> None:
    assert list(GOLDEN) == list(SPREADS) == list(MODULES), "see tests/helpers/application_logits.py"
    golden = np.array(GOLDEN[seeded.application])
    assert golden.shape == (2, len(CLASSES))
    np.testing.assert_allclose(example_logits(seeded.worker), golden, rtol=1e-3, atol=1e-3)


# Weights: those of a narrow MobileNet, the smallest of them all


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write its weights in Keras' current format, and in that of the published weights."""
    folder = tmp_path_factory.mktemp("narrow")
    model = build_reference("MobileNet")
    model.save_weights(folder / "new.weights.h5")
    model.save(folder / "old.h5")
    return folder


def spec_of(application: str, path: Path, **changes: Any) -> ApplicationSpec:
    return make_spec(application, weights=str(path), sha256=file_sha256(path), **changes)


def test_weights_may_be_of_either_kind_of_file(narrow: Path) -> None:
    for file in ("new.weights.h5", "old.h5"):
        worker = create_worker("mine", {"mine": spec_of("MobileNet", narrow / file, batch_size=2)})
        assert worker.batch_size == 2
        np.testing.assert_allclose(example_logits(worker), GOLDEN["MobileNet"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("file", ["new.weights.h5", "old.h5"])
@pytest.mark.parametrize(("application", "changes"), [("MobileNetV2", {}), ("MobileNet", {"alpha": 0.5})])
def test_weights_of_another_application_are_refused(
    file: str, application: str, changes: dict[str, Any], narrow: Path
) -> None:
    spec = spec_of(application, narrow / file, **changes)
    with pytest.raises(ValueError, match=rf"^{narrow / file} does not hold the weights of {application}: "):
        open_worker(spec, narrow / file)


@pytest.mark.parametrize("file", ["new.weights.h5", "old.h5"])
def test_weights_that_are_not_whole_are_refused(file: str, narrow: Path, tmp_path: Path) -> None:
    path = tmp_path / file
    for content in ((narrow / file).read_bytes()[:-1000], b"<html>404</html>" * 100):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"^{path} does not hold the weights of MobileNet: "):
            open_worker(spec_of("MobileNet", path), path)


def test_weights_of_another_checksum_are_refused(narrow: Path) -> None:
    path = narrow / "old.h5"
    spec = make_spec("MobileNet", weights=str(path), sha256="0" * 64)
    with pytest.raises(ValueError, match=rf"^workers\.catalogue\.mine\.sha256: {path} has {file_sha256(path)}, "):
        create_worker("mine", {"mine": spec})


# What Keras publishes


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide an empty folder for Keras' downloads, without a network."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError("there is no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path / "keras"))
    (tmp_path / "keras").mkdir()
    return tmp_path / "keras"


@pytest.mark.parametrize("application", ["MobileNetV2", "MobileNet"])
def test_without_a_network_it_is_said_how_to_get_the_published_weights(application: str, home: Path) -> None:
    spec = make_spec(application)
    with pytest.raises(ValueError, match="there is no network") as caught:
        create_worker("mine", {"mine": spec})
    message = str(caught.value)
    assert re.fullmatch(
        rf"the ImageNet weights of {application} could not be downloaded \(URL fetch failure on .*\): download them "
        rf"where there is a network, and name that file as `weights`, with its `sha256`",
        message,
    ), message
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_published_weights_are_those_that_keras_keeps(narrow: Path, home: Path, tmp_path: Path) -> None:
    (home / "models").mkdir()
    shutil.copy(narrow / "old.h5", home / "models" / "mobilenet_2_5_224_tf.h5")
    worker = create_worker("mine", {"mine": make_spec("MobileNet")})
    np.testing.assert_allclose(example_logits(worker), GOLDEN["MobileNet"], rtol=1e-3, atol=1e-3)

    # The copy beside a card needs neither Keras' folder nor a network.
    path = save_application(make_spec("MobileNet"), tmp_path / "mine.weights.h5")
    assert path == tmp_path / "mine.weights.h5"
    model = build_application(make_spec("MobileNet"), path)
    for weight, expected in zip(model.weights, build_reference("MobileNet").weights, strict=True):
        np.testing.assert_array_equal(weight, expected)
