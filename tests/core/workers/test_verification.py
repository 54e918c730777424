"""Verification of classifiers that are right for one reading of an image only: it names every wrong setting."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from metrifier_core.sources import ManifestSource, SourceItem, list_items
from metrifier_core.statistics import Accuracy
from metrifier_core.workers import KNOWN_WORKERS
from metrifier_core.workers.losses import fit_temperature
from metrifier_core.workers.verification import _SCALINGS, Verification, _find_better, _Reading, verify_worker
from tests.helpers.colour_workers import (
    CLASSES,
    COLOURS,
    colour_logits,
    draw_colours,
    make_spec,
    write_colour_classifier,
    write_manifest,
    write_rows,
)
from tests.helpers.tiny_models import FLOAT16, write_onnx

IMAGES = 50


def list_images(manifest: Path) -> list[SourceItem]:
    source = ManifestSource(kind="manifest", manifest=str(manifest), root=str(manifest.parent / "images"))
    return list_items(source)


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[SourceItem]:
    """Five images of every class, in exactly its colour."""
    return list_images(write_manifest(tmp_path_factory.mktemp("colours"), *draw_colours(IMAGES)))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_colour_classifier(tmp_path / "colour.onnx")


def verify(weights: Path, items: Sequence[SourceItem], **changes: Any) -> Verification:
    return verify_worker("mine", make_spec(weights, **changes), items)


def test_a_network_that_cannot_be_run_has_that_for_its_fault(items: list[SourceItem], tmp_path: Path) -> None:
    """It claims to take any size, but its matrix fits one."""
    weights = helper.make_tensor("weights", TensorProto.FLOAT, (8 * 8 * 3, CLASSES), [0.5] * (8 * 8 * 3 * CLASSES))
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["output"]),
    ]
    path = write_onnx(tmp_path / "open.onnx", nodes, ["images", "height", "width", 3], constants=[weights])
    (fault,) = verify(path, items, input_size=16).faults
    assert fault.startswith("the network cannot be run on a batch of 1 x 16 x 16 x 3: ")
    assert "\n" not in fault


# A right entry


def test_a_right_entry_has_no_faults(weights: Path, items: list[SourceItem]) -> None:
    found = verify(weights, items)
    assert (found.name, found.family, found.faults) == ("mine", "colour", [])
    assert (found.images, found.rejected) == (IMAGES, {})
    assert found.top1 is not None
    assert found.top5 is not None
    assert (found.top1.share, found.top5.share) == (1, 1)
    assert found.temperature is not None
    assert found.temperature < 0.1, "it could be surer than it is"
    assert found.milliseconds is not None
    assert 0 < found.milliseconds < 1000


def wilson(right: int, images: int) -> Accuracy:
    z = 1.959963984540054
    share = right / images
    middle = share + z**2 / (2 * images)
    half = z * math.sqrt(share * (1 - share) / images + z**2 / (4 * images**2))
    return Accuracy(share, (middle - half) / (1 + z**2 / images), (middle + half) / (1 + z**2 / images))


@pytest.mark.parametrize("batch_size", [None, 1, 32, 100])
def test_accuracy_and_temperature_are_those_of_the_classifier(
    batch_size: int | None, weights: Path, tmp_path: Path
) -> None:
    colours, labels = draw_colours(200, noise=60)
    found = verify(weights, list_images(write_manifest(tmp_path, colours, labels)), batch_size=batch_size)
    logits = colour_logits(colours)
    best = (-logits).argsort(axis=1)
    right = [int((best[:, :count] == labels[:, None]).sum()) for count in (1, 5)]
    assert 0.3 < right[0] / 200 < 0.7
    assert right[1] < 200
    for accuracy, count in zip((found.top1, found.top5), right, strict=True):
        assert accuracy is not None
        assert vars(accuracy) == pytest.approx(vars(wilson(count, 200)))
    assert found.temperature == pytest.approx(fit_temperature(logits, labels), rel=1e-3)
    assert found.faults == [], "half right is far from chance, and nothing else is better"


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("background", [0, 1, 3])
@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_any_interface_that_is_called_what_it_is_has_no_faults(
    layout: str, background: int, outputs: str, tmp_path: Path, items: list[SourceItem]
) -> None:
    path = write_colour_classifier(
        tmp_path / "colour.onnx", layout=layout, background=background, probabilities=outputs == "probabilities"
    )
    found = verify(path, items[:20], layout=layout, class_offset=background, outputs=outputs)
    assert found.faults == []
    assert found.top1 is not None
    assert found.top1.share == 1


@pytest.mark.parametrize(("dtype", "input_type"), [("uint8", TensorProto.UINT8), ("float16", FLOAT16)])
def test_a_classifier_of_other_numbers_is_verified_alike(
    dtype: str, input_type: int, tmp_path: Path, items: list[SourceItem]
) -> None:
    """Scalings that leave the range of a byte are not tried."""
    path = write_colour_classifier(tmp_path / "colour.onnx", scale=1, input_type=input_type)
    assert verify(path, items, scale=1, dtype=dtype).faults == []
    (fault,) = verify(path, items, scale=1, dtype=dtype, channels="BGR").faults
    assert fault == "your preprocessing looks wrong: channels RGB gives 100%, channels BGR 40%"


def test_an_order_of_classes_is_followed(tmp_path: Path, items: list[SourceItem]) -> None:
    order = [3, 1, 4, 0, 5, 9, 2, 6, 8, 7]
    path = write_colour_classifier(tmp_path / "colour.onnx", classes=order)
    found = verify(path, items, class_order=order)
    assert found.faults == []
    assert found.top1 is not None
    assert found.top1.share == 1
    assert verify(path, items).faults, "without it the classes are others"
    (fault,) = verify(path, items, class_order=order, channels="BGR").faults
    assert fault == "your preprocessing looks wrong: channels RGB gives 100%, channels BGR 40%"


# Preprocessing and class order


@pytest.mark.parametrize(
    ("changes", "better", "own"),
    [
        ({"channels": "BGR"}, "channels RGB", "channels BGR"),
        ({"scale": 1.0}, "pixels as x / 255", "pixels as x"),
        (
            {"scale": 0.01, "std": [1, 1, 0.5]},
            "pixels as x / 255",
            "pixels as (x * 0.01 - [0.0, 0.0, 0.0]) / [1.0, 1.0, 0.5]",
        ),
    ],
)
def test_wrong_preprocessing_is_named_with_both_accuracies(
    changes: dict[str, Any], better: str, own: str, weights: Path, items: list[SourceItem]
) -> None:
    found = verify(weights, items, **changes)
    assert found.top1 is not None
    assert 0.1 < found.top1.share < 0.5
    assert found.faults == [f"your preprocessing looks wrong: {better} gives 100%, {own} {found.top1.share:.0%}"]


def test_a_background_class_that_is_not_told_is_named(tmp_path: Path, items: list[SourceItem]) -> None:
    path = write_colour_classifier(tmp_path / "colour.onnx", background=1)
    assert verify(path, items).faults == ["your class order looks wrong: class_offset 1 gives 100%, class_offset 0 0%"]


def test_a_background_class_that_is_not_there_is_named(weights: Path, items: list[SourceItem]) -> None:
    assert verify(weights, items, class_offset=1).faults == [
        f"it has {CLASSES - 1} classes, but an image has the label {CLASSES - 1}",
        "your class order looks wrong: class_offset 0 gives 100%, class_offset 1 0%",
    ]


def test_labels_that_begin_at_1_are_named(weights: Path, tmp_path: Path) -> None:
    colours, labels = draw_colours(IMAGES)
    faults = verify(weights, list_images(write_manifest(tmp_path, colours, labels + 1))).faults
    assert faults[0] == f"it has {CLASSES} classes, but an image has the label {CLASSES}"
    assert "class order looks wrong: class_offset -1 gives 100%, class_offset 0 0%" in faults[1]


SCALINGS: dict[str, dict[str, Any]] = {
    "x / 127.5 - 1": {"scale": 1 / 127.5, "mean": [1, 1, 1]},
    "x / 255": {"scale": 1 / 255},
    "(x / 255 - ImageNet's mean) / its deviation": {
        "scale": 1 / 255,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    },
    "x": {"scale": 1},
}


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Path]:
    """Return a classifier per scaling, without and with a background class."""
    folder = tmp_path_factory.mktemp("classifiers")
    return {
        (scaling, background): write_colour_classifier(
            folder / f"{index}-{background}.onnx", background=background, **numbers
        )
        for index, (scaling, numbers) in enumerate(SCALINGS.items())
        for background in (0, 1)
    }


@given(
    st.sampled_from(["RGB", "BGR"]),
    st.sampled_from(list(SCALINGS)),
    st.sampled_from(list(SCALINGS)),
    st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]),
)
@settings(max_examples=25)
def test_all_that_is_wrong_is_named_and_nothing_else(
    classifiers: dict[tuple[str, int], Path],
    items: list[SourceItem],
    channels: str,
    right: str,
    own: str,
    offsets: tuple[int, int],
) -> None:
    background, offset = offsets
    differences = [
        (f"{name} {true}", f"{name} {said}")
        for name, true, said in (
            ("channels", "RGB", channels),
            ("pixels as", right, own),
            ("class_offset", background, offset),
        )
        if true != said
    ]
    found = verify(classifiers[right, background], items[:30], channels=channels, class_offset=offset, **SCALINGS[own])
    faults = [fault for fault in found.faults if "classes, but an image has" not in fault]
    if not differences:
        assert faults == []
        return
    what = "class order" if (channels, right) == ("RGB", own) else "preprocessing"
    better, worse = (", ".join(names) for names in zip(*differences, strict=True))
    (fault,) = faults
    assert fault.startswith(f"your {what} looks wrong: {better} gives 100%, {worse} ")
    assert int(fault.removesuffix("%").rpartition(" ")[2]) < 60


def test_a_setting_that_makes_no_difference_is_not_blamed(tmp_path: Path) -> None:
    """If two channel orders are equally right, the entry's own stays."""
    grey = np.repeat(np.linspace(20, 235, CLASSES).round()[:, None], 3, axis=1).astype(np.uint8)
    path = write_colour_classifier(tmp_path / "colour.onnx", colours=grey)
    images = list_images(write_manifest(tmp_path, np.tile(grey, (4, 1)), np.tile(np.arange(CLASSES), 4)))
    assert verify(path, images, channels="BGR").faults == []
    (fault,) = verify(path, images, channels="BGR", scale=1).faults
    assert fault.startswith("your preprocessing looks wrong: pixels as x / 255 gives 100%, pixels as x ")


# What the network gives


def test_logits_that_are_called_probabilities_are_named(weights: Path, items: list[SourceItem]) -> None:
    (fault,) = verify(weights, items, outputs="probabilities").faults
    assert fault.startswith("outputs: expected probabilities, got values from -")
    assert fault.endswith("are they logits?")


def test_probabilities_that_are_called_logits_are_named(tmp_path: Path, items: list[SourceItem]) -> None:
    path = write_colour_classifier(tmp_path / "colour.onnx", probabilities=True)
    assert verify(path, items).faults == [
        "outputs: expected logits, got values that are not negative and add up to 1: are they probabilities?"
    ]


def test_values_that_are_no_numbers_are_named_with_what_is_better(tmp_path: Path, items: list[SourceItem]) -> None:
    logarithm = [
        helper.make_node("Log", ["colour"], ["logarithm"]),
        helper.make_node("Exp", ["logarithm"], ["positive"]),
        helper.make_node("MatMul", ["positive", "weights"], ["of_colour"]),
        helper.make_node("Add", ["of_colour", "bias"], ["output"]),
    ]
    path = write_colour_classifier(tmp_path / "colour.onnx", last=logarithm)
    assert verify(path, items).faults == []
    found = verify(path, items, scale=1 / 127.5, mean=[1, 1, 1])
    assert found.faults == [
        "the network returns NaN or infinity: is scale, mean or std wrong?",
        "your preprocessing looks wrong: pixels as x / 255 gives 100%, pixels as x / 127.5 - 1 10%",
    ]
    assert found.top1 is not None
    assert found.top1.share == 0.1, "no number is no right answer"


def test_fewer_classes_than_labels_are_named(tmp_path: Path, items: list[SourceItem]) -> None:
    path = write_colour_classifier(tmp_path / "colour.onnx", classes=range(8))
    found = verify(path, items)
    assert found.faults == ["it has 8 classes, but an image has the label 9"]
    assert found.images == IMAGES
    assert found.top1 is not None
    assert found.top1.share == 1, "of the images that it could know"


def test_a_classifier_that_guesses_is_named(tmp_path: Path, items: list[SourceItem]) -> None:
    guess = [helper.make_node("Sub", ["logits", "logits"], ["output"])]
    found = verify(write_colour_classifier(tmp_path / "colour.onnx", last=guess), items)
    assert found.faults == ["its accuracy is close to chance: are these its classes, in its order?"]
    assert found.top1 is not None
    assert found.top1.share == 1 / CLASSES


# What cannot be run


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"layout": "NCHW"},
            "layout NCHW and input_size 8 make images of 3 x 8 x 8, but the network takes 8 x 8 x 3",
        ),
        (
            {"input_size": 16},
            "layout NHWC and input_size 16 make images of 16 x 16 x 3, but the network takes 8 x 8 x 3",
        ),
        ({"dtype": "uint8"}, "dtype is uint8, but the network takes float32"),
        ({"file": "/nowhere/colour.onnx"}, "workers.catalogue.mine.file: there is no file /nowhere/colour.onnx"),
    ],
)
def test_an_entry_that_does_not_fit_is_named(
    changes: dict[str, Any], fault: str, weights: Path, items: list[SourceItem]
) -> None:
    assert verify(weights, items, **changes) == Verification("mine", "colour", [fault])


def test_other_weights_than_those_of_the_entry_are_not_run(weights: Path, items: list[SourceItem]) -> None:
    found = verify(weights, items, sha256="f" * 64)
    own = make_spec(weights).sha256
    fault = f"workers.catalogue.mine.sha256: {weights} has {own}, expected {'f' * 64}"
    assert found == Verification("mine", "colour", [fault])


def test_a_file_that_is_no_network_is_named(tmp_path: Path, items: list[SourceItem]) -> None:
    path = tmp_path / "colour.onnx"
    path.write_bytes(b"text")
    (fault,) = verify(path, items).faults
    assert fault.startswith(f"{path} is not a whole model that onnxruntime can run: ")


def test_of_a_miniature_there_is_nothing_to_verify(items: list[SourceItem]) -> None:
    spec = KNOWN_WORKERS["miniature_vgg"]
    found = verify_worker("miniature_vgg", spec, items)
    fault = "it is trained on the images of a run: there is nothing to verify before"
    assert found == Verification("miniature_vgg", spec.family, [fault])


# Images


def test_images_that_cannot_be_used_are_left_out_and_named(weights: Path, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, *draw_colours(IMAGES))
    rows = [(item.image_id, item.label) for item in list_images(manifest)]
    (tmp_path / "images" / "text.png").write_bytes(b"This is no image.")
    (tmp_path / "images" / "empty.png").write_bytes(b"")
    # Labels that would be wrong if they counted.
    write_rows(manifest, [*rows, ("text.png", 0), ("empty.png", CLASSES + 7), ("missing.png", 0)])
    found = verify(weights, list_images(manifest))
    assert found.faults == []
    assert found.images == IMAGES
    assert set(found.rejected) == {"text.png", "empty.png", "missing.png"}
    assert found.rejected["text.png"].startswith("not an image in a known format")
    assert found.rejected["empty.png"] == "empty file"
    assert found.rejected["missing.png"] == "cannot be read: No such file or directory"


@pytest.mark.parametrize("batch_size", [1, 8])
def test_images_of_which_none_can_be_used_are_a_fault(weights: Path, tmp_path: Path, batch_size: int) -> None:
    (tmp_path / "images").mkdir()
    manifest = write_rows(tmp_path / "manifest.csv", [(f"{index}.png", 0) for index in range(20)])
    found = verify(weights, list_images(manifest), batch_size=batch_size)
    assert found.faults == ["none of the images can be used"]
    assert (found.images, len(found.rejected), found.top1, found.milliseconds) == (0, 20, None, None)


def test_the_colours_are_told_apart_by_the_right_reading_alone() -> None:
    """Otherwise these tests would not depend on preprocessing."""
    assert (colour_logits(COLOURS).argmax(axis=1) == range(CLASSES)).all()
    assert (colour_logits(COLOURS[:, ::-1]).argmax(axis=1) == range(CLASSES)).mean() <= 0.5


def test_an_order_of_classes_behind_a_background_is_followed(tmp_path: Path, items: list[SourceItem]) -> None:
    order = [3, 1, 4, 0, 5, 9, 2, 6, 8, 7]
    path = write_colour_classifier(tmp_path / "colour.onnx", classes=order, background=1)
    assert verify(path, items, class_order=order, class_offset=1).faults == []


@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_an_offset_behind_all_outputs_is_named(outputs: str, tmp_path: Path, items: list[SourceItem]) -> None:
    path = write_colour_classifier(tmp_path / "colour.onnx", probabilities=outputs == "probabilities")
    assert verify(path, items, class_offset=10, outputs=outputs).faults == [
        "class_offset: expected less than the network's 10 outputs, got 10"
    ]


def test_an_order_of_other_classes_is_named(weights: Path, items: list[SourceItem]) -> None:
    assert verify(weights, items, class_order=list(range(9))).faults == [
        "class_order: expected the network's 10 classes, got 9"
    ]


def test_infinite_values_are_named(tmp_path: Path, items: list[SourceItem]) -> None:
    last = [
        helper.make_node("Relu", ["logits"], ["positive"]),
        helper.make_node("Log", ["positive"], ["logarithm"]),
        helper.make_node("Neg", ["logarithm"], ["output"]),
    ]
    found = verify(write_colour_classifier(tmp_path / "colour.onnx", last=last), items)
    assert found.faults[0].startswith("the network returns NaN or infinity")


@given(st.integers(0, 10**6))
@example(30)
def test_a_better_reading_is_another_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    readings = [_Reading(c, s, o) for c in ("RGB", "BGR") for s in _SCALINGS for o in (0, 1)]
    shares = {reading: 0.5 + rng.integers(0, 7) / 100 for reading in readings}
    for own in readings:
        assert "wrong:  gives" not in (_find_better(shares, own) or "")
