"""Workers: what an image becomes before a classifier sees it, what its outputs mean, and whose weights they are."""

import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper
from pydantic import TypeAdapter, ValidationError

from metrifier_core.images import read_image
from metrifier_core.quality import judge
from metrifier_core.sources import ManifestSource, list_items
from metrifier_core.workers import (
    MINIATURES,
    ExportedSpec,
    WorkerCard,
    WorkerSettings,
    WorkerSpec,
    file_sha256,
    load_weights_file,
    load_worker,
    read_cards,
)
from metrifier_core.workers.catalogue import ModelInterface
from metrifier_core.workers.exported import OnnxWorker
from metrifier_core.workers.preprocessing import centre_crop, normalise
from metrifier_core.yaml import read_yaml
from tests.core.tiny_models import FLOAT, FLOAT16, write_onnx

REPOSITORY = Path(__file__).parents[2]
REAL_DATA = REPOSITORY.parent / "shared" / "realdata"
REAL_CATALOGUE = REPOSITORY / "tests" / "realdata" / "workers.yaml"

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def make_image(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# Preprocessing


def test_centre_crop_cuts_without_resampling_where_it_can() -> None:
    image = make_image(256, 300)
    np.testing.assert_array_equal(centre_crop(image, 224, 0.875), image[16:240, 38:262])


def test_centre_crop_keeps_the_share_that_is_asked_for() -> None:
    """Of 64 pixels 7/8 are kept: a frame of 4 pixels is just outside, one of 5 is not."""
    image = np.full((64, 64, 3), 255, np.uint8)
    image[4:60, 4:60] = 0
    assert not centre_crop(image, 8, 0.875).any()
    image[4], image[59] = 255, 255
    assert centre_crop(image, 8, 0.875).any(axis=(1, 2)).tolist() == [True, *[False] * 6, True]


@pytest.mark.parametrize(("short", "kept"), [(8, 8), (9, 8), (10, 9)])
def test_small_images_keep_their_whole_centre_square(short: int, kept: int) -> None:
    """8 / 0.875 rounds to 9: from a short side of 9 on the share is cut out, below it nothing is."""
    image = np.zeros((short, 20, 3), np.uint8)
    left, top = (20 - kept) // 2, (short - kept) // 2
    image[top : top + kept, left : left + kept] = 200
    assert (centre_crop(image, 8, 0.875) == 200).all()
    image[top, left : left + kept] = 0
    assert (centre_crop(image, 8, 0.875)[0] < 200).all()


def test_shrinking_averages_areas() -> None:
    """Whoever samples every fourth pixel sees a checkerboard as black or white."""
    checkerboard = np.indices((32, 32)).sum(axis=0) % 2 * np.uint8(254)
    image = np.repeat(checkerboard[:, :, None], 3, axis=2).astype(np.uint8)
    assert (centre_crop(image, 8, 1.0) == 127).all()


@given(st.integers(8, 80), st.integers(8, 80), st.sampled_from([8, 32, 33]), st.sampled_from([0.5, 0.875, 1.0]))
def test_centre_crop_of_any_image_is_a_square_of_its_own_values(
    height: int, width: int, size: int, fraction: float
) -> None:
    image = make_image(height, width) // 2 + 50
    square = centre_crop(image, size, fraction)
    assert square.shape == (size, size, 3)
    assert square.dtype == np.uint8
    assert image.min() <= square.min() <= square.max() <= image.max()
    assert (centre_crop(np.full_like(image, 77), size, fraction) == 77).all()


def test_normalise_known_pixels() -> None:
    pixels = np.array([[[0, 128, 255]]], np.uint8)
    expected = [(0 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    result = normalise(pixels, 1 / 255, MEAN, STD)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, [[expected]], rtol=1e-5)
    np.testing.assert_allclose(normalise(pixels, 2 / 255, (1, 1, 1), (1, 1, 1)), [[[-1, 1 / 255, 1]]], atol=1e-6)
    np.testing.assert_allclose(normalise(pixels, 1, (123, 117, 104), (1, 1, 1)), [[[-123, 11, 151]]])


# ONNX: a classifier whose outputs are its inputs shows all that is done to an image on the way.


def write_echo(path: Path, layout: str, size: int = 8, input_type: int = FLOAT) -> Path:
    """A classifier that answers with its input, flattened."""
    shape = [1, size, size, 3] if layout == "NHWC" else [1, 3, size, size]
    return write_onnx(path, [helper.make_node("Flatten", ["image"], ["output"])], shape, input_type)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize(("dtype", "input_type", "tolerance"), [("float32", FLOAT, 1e-6), ("float16", FLOAT16, 2e-3)])
def test_onnx_worker_shows_the_model_what_it_wants(
    layout: str, channels: str, dtype: str, input_type: int, tolerance: float, tmp_path: Path
) -> None:
    image = make_image(8, 8)
    interface = ModelInterface.model_validate(
        {
            "input_size": 8,
            "layout": layout,
            "channels": channels,
            "dtype": dtype,
            "scale": 1 / 255,
            "mean": MEAN,
            "std": STD,
            "outputs": "logits",
        }
    )
    worker = OnnxWorker(write_echo(tmp_path / "echo.onnx", layout, input_type=input_type), interface)

    # Mean and deviation stay with the channel that they were measured on, wherever that goes.
    planes = {name: (image[:, :, i] / 255 - MEAN[i]) / STD[i] for i, name in enumerate("RGB")}
    shown = np.stack([planes[name] for name in channels], axis=-1 if layout == "NHWC" else 0)
    logits = worker.logits([image])
    assert logits.dtype == np.float64
    np.testing.assert_allclose(logits, [shown.ravel()], rtol=tolerance, atol=tolerance)


def test_onnx_worker_leaves_out_what_stands_before_class_0(tmp_path: Path) -> None:
    echo, image = write_echo(tmp_path / "echo.onnx", "NHWC"), make_image(8, 8)
    everything = ModelInterface(input_size=8, layout="NHWC", scale=1, outputs="logits")
    offset = everything.model_copy(update={"class_offset": 1})
    np.testing.assert_array_equal(OnnxWorker(echo, everything).logits([image]), [image.ravel()])
    np.testing.assert_array_equal(OnnxWorker(echo, offset).logits([image]), [image.ravel()[1:]])


def test_onnx_worker_turns_probabilities_into_finite_logits(tmp_path: Path) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[0, 0] = (255, 51, 0)
    interface = ModelInterface(input_size=8, layout="NHWC", outputs="probabilities")
    logits = OnnxWorker(write_echo(tmp_path / "echo.onnx", "NHWC"), interface).logits([image])
    np.testing.assert_allclose(logits[0, :3], [0, math.log(0.2), math.log(1e-12)], atol=1e-6)


def test_logits_and_probabilities_of_one_model_are_one_loss(tmp_path: Path) -> None:
    shape = [1, 8, 8, 3]
    mean = helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0)
    softmax = helper.make_node("Softmax", ["mean"], ["output"], axis=1)
    rename = helper.make_node("Identity", ["mean"], ["output"])
    images = [make_image(8, 8, seed) // (seed + 1) for seed in range(3)]
    tcp = []
    for outputs, last in (("logits", rename), ("probabilities", softmax)):
        interface = ModelInterface.model_validate({"input_size": 8, "layout": "NHWC", "scale": 0.1, "outputs": outputs})
        worker = OnnxWorker(write_onnx(tmp_path / f"{outputs}.onnx", [mean, last], shape), interface)
        tcp.append(judge(worker.logits(images), np.array([0, 1, 2]), 2.0).tcp)
    np.testing.assert_allclose(tcp[0], tcp[1], atol=1e-6)
    assert np.ptp(tcp[0]) > 0.01


def test_logits_of_an_image_do_not_depend_on_its_batch(tmp_path: Path) -> None:
    interface = ModelInterface(input_size=8, layout="NHWC", outputs="logits", mean=MEAN, std=STD)
    worker = OnnxWorker(write_echo(tmp_path / "echo.onnx", "NHWC"), interface)
    images = [make_image(8 + seed, 40 - seed, seed) for seed in range(30)]
    together = worker.logits(images)
    assert together.shape == (30, 192)
    np.testing.assert_array_equal(together, np.concatenate([worker.logits([image]) for image in images]))
    np.testing.assert_array_equal(together[::-1], worker.logits(images[::-1]))


# The catalogue and the cards


def make_spec(weights: Path, **changes: object) -> ExportedSpec:
    entry = {
        "format": "onnx",
        "family": "echo",
        "file": str(weights),
        "sha256": file_sha256(weights) if weights.is_file() else "0" * 64,
        "input_size": 8,
        "layout": "NHWC",
        "outputs": "logits",
    }
    return ExportedSpec.model_validate({**entry, **changes})


def test_file_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 1_000_000)
    assert file_sha256(path) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()


def test_weights_are_found_only_where_they_are_the_catalogues(tmp_path: Path) -> None:
    weights = write_echo(tmp_path / "echo.onnx", "NHWC")
    assert load_weights_file("echo", make_spec(weights)) == weights
    with pytest.raises(ValueError, match=r"workers\.catalogue\.echo\.file: there is no file .*nowhere\.onnx"):
        load_weights_file("echo", make_spec(tmp_path / "nowhere.onnx"))
    with pytest.raises(ValueError, match=rf"echo\.sha256: .* has {file_sha256(weights)}, the catalogue says f{{64}}"):
        load_weights_file("echo", make_spec(weights, sha256="f" * 64))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("chanels", "BGR", "did you mean 'channels'"),
        ("sha256", "1234", "pattern"),
        ("sha256", None, "string"),
        ("layout", "HWC", "'NHWC' or 'NCHW'"),
        ("outputs", "softmax", "'logits' or 'probabilities'"),
        ("crop_fraction", 1.5, "less than or equal to 1"),
        ("scale", 0, "greater than 0"),
        ("class_offset", -1, "greater than or equal to 0"),
        ("mean", [0.5], "Field required"),
        ("format", "onx", "'miniature', 'onnx'"),
    ],
)
def test_a_wrong_entry_is_refused(key: str, value: object, message: str, tmp_path: Path) -> None:
    entry = make_spec(write_echo(tmp_path / "echo.onnx", "NHWC")).model_dump()
    workers = {"label": ["echo"], "held_out": ["miniature_vgg"]}
    assert WorkerSettings.model_validate({"catalogue": {"echo": entry}, **workers}).names == ["echo", "miniature_vgg"]
    with pytest.raises(ValidationError, match=message) as caught:
        WorkerSettings.model_validate({"catalogue": {"echo": {**entry, key: value}}, **workers})
    assert caught.value.errors()[0]["loc"][:2] == ("catalogue", "echo")


def test_paths_of_a_catalogue_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    weights = write_echo(tmp_path / "weights" / "echo.onnx", "NHWC")
    entry = make_spec(weights).model_dump(mode="json") | {"file": "weights/echo.onnx"}
    (tmp_path / "workers.yaml").write_text(json.dumps({"echo": entry}))  # JSON is YAML
    settings = WorkerSettings.model_validate(
        {"catalogue": "workers.yaml", "label": ["echo"], "held_out": ["miniature_vgg"]}, context={"folder": tmp_path}
    )
    spec = settings.catalogue["echo"]
    assert isinstance(spec, ExportedSpec)
    assert load_weights_file("echo", spec) == weights


@pytest.mark.parametrize(
    ("label", "held_out", "message"),
    [
        (["miniature_vg"], ["miniature_plain"], "unknown worker 'miniature_vg', did you mean 'miniature_vgg'"),
        (["miniature_vgg"] * 2, ["miniature_plain"], "'miniature_vgg' is named twice"),
        (["miniature_vgg"], ["miniature_vgg"], "a worker that makes the label cannot judge it"),
        ([], ["miniature_vgg"], "at least 1 item"),
        (["miniature_vgg"], [], "at least 1 item"),
    ],
)
def test_a_wrong_choice_of_workers_is_refused(label: list[str], held_out: list[str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        WorkerSettings(label=label, held_out=held_out)


def test_a_relative_of_a_label_worker_cannot_judge(tmp_path: Path) -> None:
    spec = make_spec(write_echo(tmp_path / "echo.onnx", "NHWC"))
    with pytest.raises(ValidationError, match="'echo'"):
        WorkerSettings(catalogue={"echo": spec, "echo_large": spec}, label=["echo"], held_out=["echo_large"])


def make_card(weights: Path, spec: WorkerSpec, name: str = "echo") -> WorkerCard:
    return WorkerCard(
        name=name,
        role="label",
        spec=spec,
        weights=weights.name,
        sha256=file_sha256(weights),
        classes=192,
        temperature=1.25,
        clean_accuracy=1 / 3,
        calibration_images=7,
        fingerprint="f",
    )


def test_cards_are_read_as_they_were_written(tmp_path: Path) -> None:
    weights = write_echo(tmp_path / "echo.onnx", "NHWC")
    cards = [
        make_card(weights, make_spec(weights, mean=MEAN, std=STD), "echo"),
        make_card(weights, MINIATURES["miniature_vgg"], "miniature_vgg"),
    ]
    for card in reversed(cards):
        card.write(tmp_path)
    assert read_cards(tmp_path) == cards
    assert sorted(path.name for path in tmp_path.iterdir()) == ["echo.json", "echo.onnx", "miniature_vgg.json"]


def test_a_prepared_worker_needs_only_its_folder(tmp_path: Path) -> None:
    weights = write_echo(tmp_path / "echo.onnx", "NHWC")
    card = make_card(weights, make_spec(weights, scale=1, file="/not/here.onnx"))
    card.write(tmp_path)
    worker, read = load_worker(tmp_path, "echo")
    assert read == card
    image = make_image(8, 8)
    np.testing.assert_array_equal(worker.logits([image]), [image.ravel()])


def test_weights_that_changed_after_their_card_are_refused(tmp_path: Path) -> None:
    weights = write_echo(tmp_path / "echo.onnx", "NHWC")
    make_card(weights, make_spec(weights)).write(tmp_path)
    write_echo(weights, "NCHW")
    with pytest.raises(ValueError, match=r"echo\.onnx is not the file that its card describes"):
        load_worker(tmp_path, "echo")


# Miniatures


def test_the_five_miniatures_are_five_families() -> None:
    assert len({spec.family for spec in MINIATURES.values()}) == len(MINIATURES) == 5


@pytest.mark.parametrize("name", sorted(MINIATURES))
def test_every_miniature_is_small_and_tells_classes_apart(name: str) -> None:
    from metrifier_core.workers.miniature import build_miniature

    network = build_miniature(MINIATURES[name].architecture, 7)
    assert 10_000 < network.count_params() < 100_000
    logits = network(np.stack([make_image(32, 32, seed) for seed in range(3)])).numpy()
    assert logits.shape == (3, 7)
    assert np.isfinite(logits).all()
    assert np.ptp(logits, axis=0).min() > 0, "every class depends on the image"


TRAIN = """
import sys
from pathlib import Path
import numpy as np
from metrifier_core.images import decode_image
from metrifier_core.sources import DigitsSource, list_items
from metrifier_core.workers import MINIATURES
from metrifier_core.workers.miniature import train_miniature

items = list_items(DigitsSource(kind="digits", max_sources=100))
spec = MINIATURES["miniature_plain"].model_copy(update={"epochs": 2})
labels = np.array([item.label for item in items])
train_miniature(spec, [decode_image(item.read()) for item in items], labels, 10, 3, Path(sys.argv[1]))
"""


def test_training_twice_gives_the_same_worker(tmp_path: Path) -> None:
    paths = [tmp_path / f"{attempt}.onnx" for attempt in range(2)]
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", TRAIN, str(path)], env={**os.environ, "PYTHONHASHSEED": "0"}, stderr=subprocess.PIPE
        )
        for path in paths
    ]
    for process in runs:
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
    assert paths[0].read_bytes() == paths[1].read_bytes()

    make_card(paths[0], MINIATURES["miniature_plain"], "miniature_plain").write(tmp_path)
    worker, _ = load_worker(tmp_path, "miniature_plain")
    images = [make_image(side, 50, side) for side in (8, 32, 45)]
    logits = worker.logits(images)
    assert logits.shape == (3, 10)
    np.testing.assert_array_equal(logits[1:2], worker.logits(images[1:2]))


# The real thing


@pytest.mark.realdata
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"there is no {REAL_DATA}")
@pytest.mark.parametrize("name", sorted(read_yaml(REAL_CATALOGUE)))
def test_real_workers_are_as_right_as_when_they_were_measured(name: str) -> None:
    """Wrong preprocessing or class order costs more than the chance of 100 images drawn from 1000 can."""
    catalogue = TypeAdapter(dict[str, WorkerSpec]).validate_python(
        read_yaml(REAL_CATALOGUE), context={"folder": REAL_CATALOGUE.parent}
    )
    spec = catalogue[name]
    assert isinstance(spec, ExportedSpec)
    measured = {entry["name"]: entry["top1_measured"] for entry in json.loads((REAL_DATA / "workers.json").read_text())}
    expected = measured[name]["sample1000"]

    source = ManifestSource(kind="manifest", manifest=str(REAL_DATA / "manifest.csv"), root=str(REAL_DATA / "images"))
    items = [item for item in list_items(source) if item.image_id.startswith("sample1000/")]
    sample = items[:100]
    worker = OnnxWorker(load_weights_file(name, spec), spec)
    logits = worker.logits([read_image(REAL_DATA / "images" / item.image_id) for item in sample])
    right = np.mean(logits.argmax(axis=1) == [item.label for item in sample])
    deviation = math.sqrt(expected * (1 - expected) / len(sample) * (1 - len(sample) / len(items)))
    assert logits.shape == (100, 1000)
    assert right == pytest.approx(expected, abs=3 * deviation)
