"""AlexNet in Keras has the outputs of independent implementations with the same weights."""

import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from safetensors.numpy import save_file

from metrifier_core.execution.checksums import file_sha256
from metrifier_core.workers import AlexNetSpec, create_worker
from metrifier_core.workers.alexnet import (
    INTERFACE,
    build_alexnet,
    check_published,
    convert_state,
    load_alexnet,
    read_state,
)
from metrifier_core.workers.preprocessing import prepare
from tests.helpers.alexnet_shapes import SHAPES
from tests.helpers.example_images import natural_image

State = dict[str, NDArray[np.float32]]
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

MAX_DIFFERENCE = 1e-4


LAST_SCALE = 0.2
"""Factor of the last layer's weights: pooling takes maxima, which increases the activations."""


def random_state(seed: int) -> State:
    rng = np.random.default_rng(seed)
    state = {}
    for name, shape in SHAPES.items():
        kernel = rng.standard_normal(shape, np.float32)
        kernel *= np.sqrt(2 / np.prod(shape[1:]), dtype=np.float32)
        state[f"{name}.weight"] = kernel
        state[f"{name}.bias"] = np.float32(0.1) * rng.standard_normal(shape[0], np.float32)
    state["classifier.6.weight"] *= np.float32(LAST_SCALE)
    return state


def images(count: int) -> NDArray[np.float32]:
    """(N, 224, 224, 3), of order 1."""
    return np.random.default_rng(3).standard_normal((count, 224, 224, 3), np.float32)


@pytest.fixture(scope="module")
def state() -> State:
    return random_state(20_260_103)


@pytest.fixture(scope="module")
def model(state: State) -> Any:
    return convert_state(state)


def run_onnx(state: State) -> Run:
    """Build AlexNet in ONNX, with torch's layout of images and weights."""
    import onnxruntime

    def convolve(name: str, source: str, stride: int, padding: int, pooled: bool) -> list[onnx.NodeProto]:
        attributes = {"strides": [stride] * 2, "pads": [padding] * 4}
        nodes = [
            helper.make_node("Conv", [source, f"{name}.weight", f"{name}.bias"], [f"{name}.sum"], **attributes),
            helper.make_node("Relu", [f"{name}.sum"], [f"{name}.relu" if pooled else name]),
        ]
        if pooled:
            nodes += [helper.make_node("MaxPool", [f"{name}.relu"], [name], kernel_shape=[3, 3], strides=[2, 2])]
        return nodes

    def connect(name: str, source: str, result: str) -> onnx.NodeProto:
        return helper.make_node("Gemm", [source, f"{name}.weight", f"{name}.bias"], [result], transB=1)

    nodes = [
        *convolve("features.0", "images", 4, 2, True),
        *convolve("features.3", "features.0", 1, 2, True),
        *convolve("features.6", "features.3", 1, 1, False),
        *convolve("features.8", "features.6", 1, 1, False),
        *convolve("features.10", "features.8", 1, 1, True),
        helper.make_node("Flatten", ["features.10"], ["flat"]),
        connect("classifier.1", "flat", "classifier.1"),
        helper.make_node("Relu", ["classifier.1"], ["relu.1"]),
        connect("classifier.4", "relu.1", "classifier.4"),
        helper.make_node("Relu", ["classifier.4"], ["relu.4"]),
        connect("classifier.6", "relu.4", "logits"),
    ]
    graph = helper.make_graph(
        nodes,
        "alexnet",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [None, 3, 224, 224])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [None, 1000])],
        [numpy_helper.from_array(values, name) for name, values in state.items()],
    )
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda batch: np.asarray(session.run(None, {"images": batch.transpose(0, 3, 1, 2)})[0])


def largest_difference(model: Any, reference: Run) -> float:
    batch = images(4)
    expected = reference(batch)
    assert expected.shape == (4, 1000)
    assert 0.5 < expected.std() < 3, "answers of order 1"
    assert np.ptp(expected, axis=0).min() > 0, "every class depends on the image"
    return float(abs(model(batch, training=False).numpy() - expected).max())


# The same answers


def test_converted_weights_answer_as_in_onnx(state: State, model: Any) -> None:
    difference = largest_difference(model, run_onnx(state))
    print(f"largest difference to onnxruntime: {difference:.1e}")  # noqa: T201
    assert difference <= MAX_DIFFERENCE


def test_converted_weights_answer_as_in_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: it is needed for .pth files alone")
    from torch import nn

    class AlexNet(nn.Module):  # type: ignore[misc]
        """AlexNet as torchvision defines it."""

        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(kernel_size=3, stride=2),
                nn.Conv2d(64, 192, kernel_size=5, padding=2),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(kernel_size=3, stride=2),
                nn.Conv2d(192, 384, kernel_size=3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(384, 256, kernel_size=3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(256, 256, kernel_size=3, padding=1),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(kernel_size=3, stride=2),
            )
            self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
            self.classifier = nn.Sequential(
                nn.Dropout(p=0.5),
                nn.Linear(256 * 6 * 6, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(p=0.5),
                nn.Linear(4096, 4096),
                nn.ReLU(inplace=True),
                nn.Linear(4096, 1000),
            )

        def forward(self, x: Any) -> Any:
            return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))

    torch.manual_seed(1)
    network = AlexNet().eval()
    with torch.no_grad():  # so that no bias of the first layers outweighs the image
        for name, weight in network.named_parameters():
            if name.endswith("weight"):
                nn.init.kaiming_normal_(weight)
        network.classifier[6].weight.mul_(LAST_SCALE)
    path = tmp_path / "alexnet.pth"
    torch.save(network.state_dict(), path)

    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(batch.transpose(0, 3, 1, 2).copy())).numpy())

    state = read_state(path)
    assert {name: values.shape for name, values in state.items()} == {
        **{f"{name}.weight": shape for name, shape in SHAPES.items()},
        **{f"{name}.bias": shape[:1] for name, shape in SHAPES.items()},
    }
    difference = largest_difference(convert_state(state), run)
    path.unlink()  # a quarter of a gigabyte, and pytest keeps the folders of three runs
    print(f"largest difference to torch: {difference:.1e}")  # noqa: T201
    assert difference <= MAX_DIFFERENCE


def test_alexnet_is_a_worker_once_its_weights_are_converted(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "alexnet.weights.h5"
    model.save_weights(path)
    sha256 = file_sha256(path)
    spec = AlexNetSpec(format="alexnet", family="AlexNet", weights=str(path), sha256=sha256, batch_size=2)
    worker = create_worker("alexnet", {"alexnet": spec})
    path.unlink()
    photographs = [natural_image(seed, 256, 300 + seed) for seed in range(3)]
    logits = worker.logits(photographs)
    assert logits.shape == (3, 1000)
    # Scaled as torchvision documents, in RGB.
    shown = np.stack([image[16:240, 38 + seed // 2 :][:, :224] for seed, image in enumerate(photographs)]) / 255
    shown = (shown - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(logits, model(shown.astype(np.float32), training=False), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(np.stack([prepare(image, INTERFACE) for image in photographs]), shown, atol=1e-5)


# State dicts


def test_a_safetensors_file_is_read_as_what_was_written(tmp_path: Path) -> None:
    written = {"features.0.weight": np.arange(12, dtype=np.float32).reshape(3, 4), "features.0.bias": np.ones(3, "f4")}
    path = tmp_path / "alexnet.safetensors"
    save_file(written, path)
    read = read_state(path)
    assert sorted(read) == sorted(written)
    for name, values in written.items():
        np.testing.assert_array_equal(read[name], values)


def without(state: State, name: str) -> State:
    return {other: values for other, values in state.items() if other != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {"features.0.bias": state["features.0.bias"]}, "lacks classifier.1.bias, classifier.1.weight,"),
        (lambda state: without(state, "features.3.bias"), "lacks features.3.bias:"),
        (lambda state: {**state, "features.1.weight": state["features.0.bias"]}, "has unknown features.1.weight:"),
    ],
)
def test_missing_and_unknown_arrays_are_refused(change: Callable[[State], State], message: str, state: State) -> None:
    with pytest.raises(ValueError, match=rf"^the state dict {re.escape(message)}.* is it torchvision's AlexNet\?$"):
        convert_state(change(state))


@pytest.mark.parametrize(
    ("name", "shape", "shapes"),
    [
        ("features.0.weight", (64, 3, 7, 7), "(64, 3, 7, 7) and (64,)"),
        ("features.0.weight", (11, 11, 3, 64), "(11, 11, 3, 64) and (64,)"),
        ("features.3.weight", (192, 1600), "(192, 1600) and (192,)"),
        ("features.6.bias", (256,), "(384, 192, 3, 3) and (256,)"),
        ("classifier.1.weight", (9216, 4096), "(9216, 4096) and (4096,)"),
        ("classifier.1.weight", (4096, 256, 6, 6), "(4096, 256, 6, 6) and (4096,)"),
        ("classifier.6.weight", (10, 4096), "(10, 4096) and (1000,)"),
        ("classifier.6.bias", (1000, 1), "(1000, 4096) and (1000, 1)"),
    ],
)
def test_arrays_of_other_shapes_are_refused(name: str, shape: tuple[int, ...], shapes: str, state: State) -> None:
    layer = name.rpartition(".")[0]
    with pytest.raises(
        ValueError, match=rf"^{layer} has the shapes {re.escape(shapes)}: is it torchvision's AlexNet\?$"
    ):
        convert_state({**state, name: np.zeros(shape, np.float32)})


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_a_cut_safetensors_file_is_refused(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "alexnet.safetensors"
    save_file({"features.0.weight": np.ones((64, 3, 11, 11), np.float32)}, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=rf"^{path} is not a whole safetensors file: "):
        read_state(path)


class Harmful:
    """Code that a pickle runs when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("content", ["pickle", "objects", "numbers", "text"])
def test_a_pth_file_that_is_no_state_dict_is_refused(content: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: it is needed for .pth files alone")
    path, target = tmp_path / "alexnet.pth", tmp_path / "target"
    match content:
        case "pickle":
            path.write_bytes(pickle.dumps(Harmful(target)))
        case "objects":
            torch.save({"features.0.weight": Harmful(target)}, path)
        case "numbers":
            torch.save({"epoch": 3}, path)
        case _:
            path.write_bytes(b"<html>404</html>" * 100)
    with pytest.raises(ValueError, match=rf"^{path} is not a state dict of torch: "):
        read_state(path)
    assert not target.exists()


def test_without_torch_it_is_said_what_a_pth_file_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    path = tmp_path / "alexnet.pth"
    path.write_bytes(b"")
    message = rf"^{path} needs torch to be read: pip install torch, or give a \.safetensors file$"
    with pytest.raises(ValueError, match=message):
        read_state(path)


# Files of weights


def test_only_the_file_that_is_expected_is_converted(tmp_path: Path) -> None:
    path = tmp_path / "alexnet.pth"
    path.write_bytes(b"weights")
    found = file_sha256(path)
    assert check_published(path, found) == found
    with pytest.raises(ValueError, match=rf"^{path} has the SHA-256 {found}, not 0{{64}}$"):
        check_published(path, "0" * 64)
    with pytest.raises(
        ValueError,
        match=rf"^{path} has the SHA-256 {found}, which is none of torchvision's \(they begin with 7be5be79 or "
        rf"4df8aa71\): give the right one with --sha256$",
    ):
        check_published(path, None)


def test_a_file_that_torchvision_published_needs_no_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "alexnet.pth"
    path.write_bytes(b"weights")
    found = file_sha256(path)
    monkeypatch.setattr("metrifier_core.workers.alexnet.PUBLISHED_SHA256_PREFIXES", ("7be5be79", found[:8]))
    assert check_published(path, None) == found


@pytest.mark.parametrize("name", ["other.weights.h5", "other.h5"])
def test_a_file_without_the_weights_of_alexnet_is_refused(name: str, tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((8, 8, 3))
    other = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="features_0")(inputs))
    path = tmp_path / name
    (other.save_weights if name.endswith(".weights.h5") else other.save)(path)
    with pytest.raises(ValueError, match=rf"^{path} does not hold the weights of AlexNet: "):
        load_alexnet(path)
    path.write_bytes(b"<html>404</html>" * 100)
    with pytest.raises(ValueError, match=rf"^{path} does not hold the weights of AlexNet: "):
        load_alexnet(path)


def test_alexnet_has_as_many_weights_as_torchvision_says() -> None:
    assert build_alexnet().count_params() == 61_100_840
