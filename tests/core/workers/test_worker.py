"""A worker prepares images and reads outputs as its interface says."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from metrifier_core.runtimes.onnx_runtime import OnnxNetwork
from metrifier_core.workers import Worker
from metrifier_core.workers.losses import judge
from tests.helpers.echo_workers import MEAN, STD, VALUES, make_echo, make_image, make_interface, write_echo
from tests.helpers.tiny_models import write_onnx

# Inputs of the network


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float16", 2e-3)])
def test_a_network_is_shown_what_its_interface_says(
    layout: str, channels: str, dtype: str, tolerance: float, tmp_path: Path
) -> None:
    image = make_image()
    worker = make_echo(tmp_path, layout=layout, channels=channels, dtype=dtype, scale=1 / 255, mean=MEAN, std=STD)

    # Mean and deviation stay with their channel, whatever the order.
    planes = {name: (image[:, :, i] / 255 - MEAN[i]) / STD[i] for i, name in enumerate("RGB")}
    shown = np.stack([planes[name] for name in channels], axis=-1 if layout == "NHWC" else 0)
    logits = worker.logits([image])
    assert logits.dtype == np.float64
    np.testing.assert_allclose(logits, [shown.ravel()], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("dtype", "mean"), [("uint8", 0), ("int8", 128)])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_a_network_of_integers_is_shown_integers(dtype: str, mean: int, layout: str, tmp_path: Path) -> None:
    image = make_image()
    worker = make_echo(tmp_path, dtype=dtype, mean=[mean] * 3, layout=layout, channels="BGR")
    shown = image[:, :, ::-1].astype(int) - mean
    np.testing.assert_array_equal(
        worker.logits([image]), [(shown if layout == "NHWC" else shown.transpose(2, 0, 1)).ravel()]
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"layout": "NCHW"},
            "layout NCHW and input_size 8 make images of 3 x 8 x 8, but the network takes 8 x 8 x 3",
        ),
        (
            {"input_size": 16},
            "layout NHWC and input_size 16 make images of 16 x 16 x 3, but the network takes 8 x 8 x 3",
        ),
        ({"dtype": "float16"}, "dtype is float16, but the network takes float32"),
        ({"dtype": "uint8"}, "dtype is uint8, but the network takes float32"),
    ],
)
def test_an_interface_that_does_not_fit_its_network_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    network = OnnxNetwork(write_echo(tmp_path / "echo.onnx"))
    with pytest.raises(ValueError, match=f"^{message}$"):
        Worker(network, make_interface(**changes))
    worker = Worker(network, make_interface())
    with pytest.raises(ValueError, match=f"^{message}$"):
        worker.with_interface(make_interface(**changes))


@pytest.mark.parametrize(("shape", "taken"), [((VALUES,), "192"), ((8, 8), "8 x 8"), ((8, 8, 3, 1), "8 x 8 x 3 x 1")])
def test_a_network_of_anything_but_images_is_refused(shape: tuple[int, ...], taken: str, tmp_path: Path) -> None:
    nodes = [helper.make_node("Flatten", ["image"], ["output"])]
    path = write_onnx(tmp_path / "other.onnx", nodes, ["images", *shape])
    with pytest.raises(ValueError, match=rf"make images of 8 x 8 x 3, but the network takes {taken}$"):
        Worker(OnnxNetwork(path), make_interface())


def test_a_network_of_any_size_takes_that_of_its_interface(tmp_path: Path) -> None:
    shape = ["images", "height", "width", 3]
    path = write_onnx(tmp_path / "any.onnx", [helper.make_node("Flatten", ["image"], ["output"])], shape)
    for size in (8, 13):
        worker = Worker(OnnxNetwork(path), make_interface(input_size=size))
        image = make_image(size, size)
        np.testing.assert_array_equal(worker.logits([image]), [image.ravel()])
    with pytest.raises(ValueError, match=r"but the network takes any x any x 3$"):
        Worker(OnnxNetwork(path), make_interface(layout="NCHW"))


def test_one_network_may_stand_behind_several_interfaces(tmp_path: Path) -> None:
    worker, image = make_echo(tmp_path), make_image()
    other = worker.with_interface(make_interface(channels="BGR"))
    assert other.interface.channels == "BGR"
    np.testing.assert_array_equal(other.logits([image]), [image[:, :, ::-1].ravel()])
    np.testing.assert_array_equal(worker.logits([image]), [image.ravel()])


# Batches


def test_logits_of_an_image_do_not_depend_on_its_batch(tmp_path: Path) -> None:
    worker = make_echo(tmp_path, scale=1 / 255, mean=MEAN, std=STD)
    images = [make_image(8 + seed, 40 - seed, seed) for seed in range(30)]
    together = worker.logits(images)
    assert together.shape == (30, VALUES)
    np.testing.assert_array_equal(together, np.concatenate([worker.logits([image]) for image in images]))
    np.testing.assert_array_equal(together[::-1], worker.logits(images[::-1]))


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 10])
def test_a_network_of_whole_batches_is_given_whole_batches(count: int, tmp_path: Path) -> None:
    """onnxruntime refuses any other number of images than four here."""
    (tmp_path / "one").mkdir()
    whole, one = make_echo(tmp_path, batch=4), make_echo(tmp_path / "one", batch=1)
    assert (whole.batch_size, one.batch_size) == (4, 1)
    images = [make_image(seed=seed) for seed in range(count)]
    outputs = whole.outputs(images)
    assert outputs.shape == (count, VALUES)
    np.testing.assert_array_equal(outputs, [image.ravel() for image in images])
    np.testing.assert_array_equal(outputs, one.outputs(images))


def test_a_batch_is_filled_up_with_zeros(tmp_path: Path) -> None:
    """If a network mixes the images of a batch, the outputs must not depend on an earlier batch."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["rows"]),
        helper.make_node("ReduceMin", ["rows"], ["least"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["rows", "least"], ["output"]),
    ]
    worker = Worker(OnnxNetwork(write_onnx(tmp_path / "mixing.onnx", nodes, [4, 8, 8, 3])), make_interface())
    images = [make_image(seed=seed) for seed in range(6)]
    np.testing.assert_array_equal(worker.outputs(images)[4:], [image.ravel() for image in images[4:]])


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_a_batch_has_the_size_that_is_asked_for_where_the_network_leaves_it_open(
    batch_size: int, tmp_path: Path
) -> None:
    worker = make_echo(tmp_path, batch_size=batch_size)
    assert worker.batch_size == batch_size
    images = [make_image(seed=seed) for seed in range(5)]
    np.testing.assert_array_equal(worker.logits(images), [image.ravel() for image in images])
    assert make_echo(tmp_path, batch=4, batch_size=batch_size).batch_size == 4, "that of the network cannot change"


# Meaning of the outputs


def test_what_stands_before_class_0_is_left_out(tmp_path: Path) -> None:
    image = make_image()
    np.testing.assert_array_equal(make_echo(tmp_path).logits([image]), [image.ravel()])
    offset = make_echo(tmp_path, class_offset=2)
    np.testing.assert_array_equal(offset.logits([image]), [image.ravel()[2:]])
    np.testing.assert_array_equal(offset.outputs([image]), [image.ravel()])


def test_classes_are_put_in_the_order_of_the_data_set(tmp_path: Path) -> None:
    """Output i stands for class `class_order[i]`."""
    image = make_image()
    order = np.random.default_rng(1).permutation(VALUES - 1).tolist()
    logits = make_echo(tmp_path, class_offset=1, class_order=order).logits([image])
    for output, label in enumerate(order):
        assert logits[0, label] == image.ravel()[1 + output]


@pytest.mark.parametrize(("dtype", "step"), [("float32", 2.0**-149), ("float16", 2.0**-24)])
def test_probabilities_become_finite_logits(dtype: str, step: float, tmp_path: Path) -> None:
    """Values too small for the dtype share half its smallest number; the background class does not count."""
    image = np.zeros((8, 8, 3), np.uint8)
    image[0, 0] = (7, 255, 51)
    worker = make_echo(tmp_path, dtype=dtype, scale=1 / 255, outputs="probabilities", class_offset=1)
    logits = worker.logits([image])
    least = math.log(step / (2 * (VALUES - 1)))
    np.testing.assert_allclose(logits[0, :3], [0, math.log(0.2), least], rtol=1e-3, atol=1e-3)
    assert np.isfinite(logits).all()


def test_logits_and_probabilities_of_one_network_are_one_loss(tmp_path: Path) -> None:
    mean = helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0)
    softmax = helper.make_node("Softmax", ["mean"], ["output"], axis=1)
    rename = helper.make_node("Identity", ["mean"], ["output"])
    images = [make_image(seed=seed) // (seed + 1) for seed in range(3)]
    tcp = []
    for outputs, last in (("logits", rename), ("probabilities", softmax)):
        path = write_onnx(tmp_path / f"{outputs}.onnx", [mean, last], [1, 8, 8, 3])
        worker = Worker(OnnxNetwork(path), make_interface(scale=0.1, outputs=outputs))
        tcp.append(judge(worker.logits(images), np.array([0, 1, 2]), 2.0).tcp)
    np.testing.assert_allclose(tcp[0], tcp[1], atol=1e-6)
    assert np.ptp(tcp[0]) > 0.01


# Checks of the outputs

LOGITS = np.random.default_rng(0).normal(0, 3, (5, 10))
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


NEGATIVE = PROBABILITIES.copy()
NEGATIVE[3, :2] = (PROBABILITIES[3, :2].sum() + 0.02, -0.02)


def with_value(outputs: NDArray[np.float64], value: float) -> NDArray[np.float64]:
    changed = outputs.copy()
    changed[3, 4] = value
    return changed


@pytest.mark.parametrize(
    ("changes", "outputs"),
    [
        ({}, LOGITS),
        ({}, abs(LOGITS)),
        ({}, with_value(PROBABILITIES, 2.0)),
        ({}, NEGATIVE),
        ({"outputs": "probabilities"}, PROBABILITIES),
        ({"outputs": "probabilities"}, PROBABILITIES * 1.009),
        ({"outputs": "probabilities"}, PROBABILITIES - 0.0009),
        ({"class_offset": 9}, LOGITS),
        ({"class_offset": 1, "class_order": [*range(8, -1, -1)]}, LOGITS),
    ],
)
def test_answers_that_fit_the_interface_are_taken(
    changes: dict[str, Any], outputs: NDArray[np.float64], tmp_path: Path
) -> None:
    make_echo(tmp_path, **changes).check(outputs)


@pytest.mark.parametrize(
    ("changes", "outputs", "message"),
    [
        ({}, with_value(LOGITS, math.nan), "the network returns NaN or infinity: is scale, mean or std wrong"),
        ({}, with_value(LOGITS, -math.inf), "the network returns NaN or infinity"),
        ({"class_offset": 10}, LOGITS, "class_offset: expected less than the network's 10 outputs, got 10"),
        ({"class_order": [1, 0, 2]}, LOGITS, "class_order: expected the network's 10 classes, got 3"),
        (
            {"class_offset": 1, "class_order": [*range(10)]},
            LOGITS,
            "class_order: expected the network's 9 classes, got 10",
        ),
        ({"outputs": "probabilities"}, LOGITS, "outputs: expected probabilities, got .*: are they logits?"),
        ({"outputs": "probabilities"}, abs(LOGITS), "outputs: expected probabilities, got .*: are they logits?"),
        ({"outputs": "probabilities"}, PROBABILITIES * 1.02, "expected probabilities, .* 1.02 to 1.02: are they"),
        ({"outputs": "probabilities"}, PROBABILITIES * 0.98, "expected probabilities, .* 0.98 to 0.98: are they"),
        ({"outputs": "probabilities"}, NEGATIVE, "expected probabilities, got values from -0.02 on"),
        (
            {},
            PROBABILITIES,
            "outputs: expected logits, got values that are not negative and add up to 1: are they probabilities",
        ),
    ],
)
def test_answers_that_do_not_fit_the_interface_are_refused(
    changes: dict[str, Any], outputs: NDArray[np.float64], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        make_echo(tmp_path, **changes).check(outputs)
