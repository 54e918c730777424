"""A prepared worker is a folder with its weights and a card."""

from pathlib import Path

import numpy as np
import pytest

from metrifier_core.execution.checksums import path_sha256
from metrifier_core.workers import KNOWN_WORKERS, WorkerCard, WorkerSpec, load_worker, read_cards
from tests.helpers.echo_workers import MEAN, STD, make_image, make_spec, write_echo


def make_card(weights: Path, spec: WorkerSpec, name: str = "echo") -> WorkerCard:
    return WorkerCard(
        name=name,
        role="label",
        spec=spec,
        weights=weights.name,
        sha256=path_sha256(weights),
        classes=192,
        temperature=1.25,
        clean_accuracy=1 / 3,
        clean_accuracy_low=0.1,
        clean_accuracy_high=2 / 3,
        clean_top5_accuracy=0.7,
        calibration_images=7,
        fingerprint="f",
    )


def test_cards_are_read_as_they_were_written(tmp_path: Path) -> None:
    weights = write_echo(tmp_path / "echo.onnx")
    cards = [
        make_card(weights, make_spec(weights, mean=MEAN, std=STD, class_order=[2, 0, 1]), "echo"),
        make_card(weights, KNOWN_WORKERS["miniature_vgg"], "miniature_vgg"),
        make_card(weights, KNOWN_WORKERS["vgg16"], "vgg16"),
    ]
    for card in reversed(cards):
        card.write(tmp_path)
    assert read_cards(tmp_path) == cards
    names = ["echo.json", "echo.onnx", "miniature_vgg.json", "vgg16.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_prepared_worker_needs_only_its_folder(tmp_path: Path) -> None:
    weights = write_echo(tmp_path / "echo.onnx")
    card = make_card(weights, make_spec(weights, file="/not/here.onnx"))
    card.write(tmp_path)
    worker, read = load_worker(tmp_path, "echo")
    assert read == card
    assert worker.temperature == 1.25
    image = make_image()
    np.testing.assert_array_equal(worker.logits([image]), [image.ravel()])


def test_weights_that_changed_after_their_card_are_refused(tmp_path: Path) -> None:
    weights = write_echo(tmp_path / "echo.onnx")
    make_card(weights, make_spec(weights)).write(tmp_path)
    write_echo(weights, layout="NCHW")
    with pytest.raises(ValueError, match=r"echo\.onnx is not the file that its card describes"):
        load_worker(tmp_path, "echo")
