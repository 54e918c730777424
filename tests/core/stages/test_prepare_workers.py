"""The stage `prepare_workers`: verified weights and a card each, nothing of an entry that is wrong, nothing twice."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from metrifier_core.execution.checksums import file_sha256
from metrifier_core.stages.prepare_workers import _check_accuracy, prepare_workers
from metrifier_core.statistics import Accuracy, top_accuracy
from metrifier_core.workers import KNOWN_WORKERS, load_worker, read_cards
from metrifier_core.workers.losses import fit_temperature
from tests.helpers.colour_workers import (
    CLASSES,
    colour_logits,
    draw_colours,
    make_entry,
    plain_image,
    write_colour_classifier,
    write_colour_table,
)

SHARDS = ("00000-of-00002", "00001-of-00002")


def write_images(folder: Path, colours: NDArray[np.uint8], labels: NDArray[np.int64]) -> Path:
    """Calibration images in two shards, among others that a worker would be wrong on."""
    for index, shard in enumerate(SHARDS):
        own = slice(index, None, len(SHARDS))
        count = len(labels[own])
        write_colour_table(
            folder,
            "images",
            shard,
            np.repeat(colours[own], 2, axis=0),
            np.stack([labels[own], (labels[own] + 3) % CLASSES], axis=1).ravel(),
            ["calibration", "train"] * count,
        )
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images", *draw_colours(80, noise=60))


def settings_of(held_out: Sequence[str] = ("judge",), **entries: dict[str, Any]) -> dict[str, Any]:
    catalogue = {name: {"family": name, **entry} for name, entry in entries.items()}
    return {
        "catalogue": catalogue,
        "label": [name for name in entries if name not in held_out],
        "held_out": list(held_out),
    }


def entry_of(weights: Path, **changes: Any) -> dict[str, Any]:
    """Without the family, which is the worker's name here."""
    entry = make_entry(weights, **changes)
    del entry["family"]
    return entry


@pytest.fixture
def workers(tmp_path: Path) -> dict[str, Any]:
    plain = write_colour_classifier(tmp_path / "plain.onnx")
    background = write_colour_classifier(tmp_path / "b.onnx", background=1, layout="NCHW", probabilities=True)
    twelve = write_colour_classifier(tmp_path / "twelve.onnx", classes=[*range(CLASSES), 0, 1])
    return settings_of(
        first=entry_of(plain, batch_size=8),
        second=entry_of(background, class_offset=1, layout="NCHW", outputs="probabilities"),
        judge=entry_of(twelve, source="a zoo", licence="MIT"),
    )


def test_every_worker_has_its_weights_and_a_card(images: Path, workers: dict[str, Any], tmp_path: Path) -> None:
    summary = prepare_workers(workers, 0, images, tmp_path / "prepared")
    names = ["first", "judge", "second"]
    assert sorted(path.name for path in (tmp_path / "prepared").iterdir()) == [
        f"{name}.{suffix}" for name in names for suffix in ("json", "onnx")
    ]
    cards = read_cards(tmp_path / "prepared")
    assert [card.name for card in cards] == names
    assert [card.role for card in cards] == ["label", "held-out", "label"]
    assert [card.classes for card in cards] == [CLASSES, CLASSES + 2, CLASSES]
    assert (cards[1].spec.source, cards[1].spec.licence, cards[1].spec.family) == ("a zoo", "MIT", "judge")
    for card in cards:
        original = Path(workers["catalogue"][card.name]["file"])
        assert (tmp_path / "prepared" / card.weights).read_bytes() == original.read_bytes()
        assert card.sha256 == file_sha256(original)
        assert card.calibration_images == 80
        assert summary[f"accuracy_{card.name}"] == card.clean_accuracy
    assert summary["workers"] == 3


def test_a_card_says_what_the_worker_makes_of_the_calibration_images(
    images: Path, workers: dict[str, Any], tmp_path: Path
) -> None:
    prepare_workers(workers, 0, images, tmp_path / "prepared")
    colours, labels = draw_colours(80, noise=60)
    logits = colour_logits(colours)
    accuracy = top_accuracy(logits, labels)
    top5 = top_accuracy(logits, labels, 5).share
    assert 0.3 < accuracy.share < 0.7 < top5 < 1
    for name in ("first", "second"):
        worker, card = load_worker(tmp_path / "prepared", name)
        assert card.clean_accuracy == accuracy.share
        assert (card.clean_accuracy_low, card.clean_accuracy_high) == (accuracy.low, accuracy.high)
        assert card.clean_top5_accuracy == top5
        assert card.temperature == pytest.approx(fit_temperature(logits, labels), rel=1e-3)
        assert worker.temperature == card.temperature
        found = worker.logits([plain_image(colour) for colour in colours])
        np.testing.assert_allclose(np.diff(found), np.diff(logits), atol=0.01)


def test_cards_are_the_same_whatever_the_shards(workers: dict[str, Any], tmp_path: Path) -> None:
    colours, labels = draw_colours(60, noise=60)
    names = [f"{index:03d}" for index in range(60)]
    cards = []
    for index, shuffled in enumerate((np.arange(60), np.random.default_rng(0).permutation(60))):
        images, prepared = tmp_path / f"images {index}", tmp_path / f"prepared {index}"
        for shard, part in zip(SHARDS, np.split(shuffled, [20]), strict=True):
            write_colour_table(
                images,
                "images",
                shard,
                colours[part],
                labels[part],
                ["calibration"] * len(part),
                [names[place] for place in part],
            )
        prepare_workers(workers, 0, images, prepared)
        cards.append([card.model_dump(exclude={"fingerprint"}) for card in read_cards(prepared)])
    assert cards[0] == cards[1]


def test_how_many_workers_share_a_task_is_nothing_to_prepare_again(
    images: Path, workers: dict[str, Any], tmp_path: Path
) -> None:
    for together in (None, 2):
        prepare_workers({**workers, "together": together}, 0, images, tmp_path / str(together))
    assert read_cards(tmp_path / "2") == read_cards(tmp_path / "None")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": "probabilities"}, r"outputs: expected probabilities, got values from -.*: are they logits\?"),
        ({"class_order": [0, 1, 2]}, f"class_order: expected the network's {CLASSES} classes, got 3"),
        ({"class_offset": CLASSES}, f"class_offset: expected less than the network's {CLASSES} outputs, got {CLASSES}"),
        (
            {"class_offset": CLASSES, "outputs": "probabilities"},
            f"class_offset: expected less than the network's {CLASSES} outputs, got {CLASSES}",
        ),
    ],
)
def test_an_entry_that_calls_its_outputs_what_they_are_not_is_refused(
    changes: dict[str, Any], message: str, images: Path, tmp_path: Path
) -> None:
    weights = write_colour_classifier(tmp_path / "plain.onnx")
    workers = settings_of(first=entry_of(weights), judge=entry_of(weights, **changes))
    with pytest.raises(ValueError, match=rf"^workers\.catalogue\.judge: {message}"):
        prepare_workers(workers, 0, images, tmp_path / "prepared")
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize(
    ("last", "changes", "message"),
    [
        (
            "Softmax",
            {},
            "outputs: expected logits, got values that are not negative and add up to 1: are they probabilities",
        ),
        ("Sqrt", {}, "the network returns NaN or infinity: is scale, mean or std wrong"),
    ],
)
def test_a_network_whose_outputs_are_not_what_its_entry_says_is_refused(
    last: str, changes: dict[str, Any], message: str, images: Path, tmp_path: Path
) -> None:
    node = helper.make_node(last, ["logits"], ["output"])
    weights = write_colour_classifier(tmp_path / "plain.onnx", last=[node])
    workers = settings_of(first=entry_of(weights, **changes), judge=entry_of(weights))
    with pytest.raises(ValueError, match=rf"^workers\.catalogue\.first: {message}"):
        prepare_workers(workers, 0, images, tmp_path / "prepared")
    assert not (tmp_path / "prepared").exists()


def test_other_weights_than_the_catalogues_are_refused(images: Path, workers: dict[str, Any], tmp_path: Path) -> None:
    write_colour_classifier(tmp_path / "plain.onnx", scale=1)
    with pytest.raises(ValueError, match=r"^workers\.catalogue\.first\.sha256: .*plain\.onnx has .*, expected"):
        prepare_workers(workers, 0, images, tmp_path / "prepared")
    (tmp_path / "plain.onnx").unlink()
    with pytest.raises(ValueError, match=r"^workers\.catalogue\.first\.file: there is no file .*plain\.onnx"):
        prepare_workers(workers, 0, images, tmp_path / "prepared")


def test_a_worker_has_to_know_every_class_of_the_source(tmp_path: Path) -> None:
    """Also a class of which there is no calibration image."""
    colours, labels = draw_colours(40)
    splits = ["train" if label == CLASSES - 1 else "calibration" for label in labels]
    images = write_colour_table(tmp_path / "images", "images", SHARDS[0], colours, labels, splits)
    whole = write_colour_classifier(tmp_path / "whole.onnx")
    less = write_colour_classifier(tmp_path / "less.onnx", classes=range(CLASSES - 1))
    workers = settings_of(first=entry_of(whole), judge=entry_of(less))
    with pytest.raises(ValueError, match=r"^worker 'judge' knows 9 classes, but an image has the label 9$"):
        prepare_workers(workers, 0, images, tmp_path / "prepared")


def test_a_worker_that_only_guesses_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As one does whose classes stand in another order; with few images that is a warning."""
    weights = write_colour_classifier(tmp_path / "plain.onnx")
    shifted = entry_of(weights, class_order=[*range(1, CLASSES), 0])
    workers = settings_of(first=entry_of(weights), judge=shifted)
    message = (
        r"^worker 'judge' only guesses: it is right on 0\.0% of 40 clean calibration images \(0\.0% to 8\.8%\), "
        r"where chance is 10\.0%; are the labels the worker's own class indices, in its order, and is its "
        r"preprocessing right\? `metrifier workers verify` finds out$"
    )
    with pytest.raises(ValueError, match=message):
        prepare_workers(workers, 0, write_images(tmp_path / "40", *draw_colours(40)), tmp_path / "prepared")
    assert not (tmp_path / "prepared").exists()
    assert "may only guess" not in capsys.readouterr().err
    prepare_workers(workers, 0, write_images(tmp_path / "20", *draw_colours(20)), tmp_path / "prepared")
    said = capsys.readouterr().err
    assert "metrifier: judge: may only guess: it is right on 0.0% of 20 clean calibration images" in said
    assert "first: may" not in said


def test_of_a_miniature_that_guesses_the_training_is_named() -> None:
    """It has neither a class order nor preprocessing of its own."""
    spec = KNOWN_WORKERS["miniature_vgg"]
    with pytest.raises(ValueError, match=r"^worker 'vgg' only guesses: .*; are the labels right, and the images of"):
        _check_accuracy("vgg", spec, Accuracy(0, 0, 0.04), 100, 10)
    _check_accuracy("vgg", spec, Accuracy(0.2, 0.13, 0.29), 100, 10)


def test_temperatures_need_calibration_images(workers: dict[str, Any], tmp_path: Path) -> None:
    images = write_colour_table(tmp_path / "images", "images", SHARDS[0], *draw_colours(10), ["train"] * 10)
    with pytest.raises(ValueError, match="no usable image for the split 'calibration'"):
        prepare_workers(workers, 0, images, tmp_path / "prepared")


@pytest.fixture
def killed(images: Path, workers: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave the output of an attempt that ended before its last worker, whose weights come later."""
    monkeypatch.setenv("METRIFIER_PARTIAL", str(tmp_path / "partial"))
    (tmp_path / "twelve.onnx").rename(tmp_path / "later.onnx")
    with pytest.raises(ValueError, match="there is no file"):
        prepare_workers(workers, 0, images, tmp_path / "prepared")
    (folder,) = (tmp_path / "partial").iterdir()
    assert sorted(path.name for path in folder.glob("*.json")) == ["first.json", "second.json"]
    (tmp_path / "later.onnx").rename(tmp_path / "twelve.onnx")
    return folder


def test_a_killed_stage_keeps_the_cards_that_stand(
    killed: Path, images: Path, workers: dict[str, Any], tmp_path: Path
) -> None:
    finished = {path.name: path.stat().st_mtime_ns for path in killed.iterdir()}
    assert set(finished) == {"first.json", "first.onnx", "second.json", "second.onnx"}
    # Whoever made these two again would need their weights; a half copied file and card are nothing to go on from.
    for name in ("plain.onnx", "b.onnx"):
        (tmp_path / name).unlink()
    (killed / "judge.onnx").write_bytes(b"half")
    (killed / "judge.partial").write_text("{")
    summary = prepare_workers(workers, 0, images, tmp_path / "prepared")
    prepared = tmp_path / "prepared"
    assert {name: (prepared / name).stat().st_mtime_ns for name in finished} == finished
    assert sorted(path.name for path in prepared.iterdir()) == sorted([*finished, "judge.json", "judge.onnx"])
    assert (prepared / "judge.onnx").read_bytes() == (tmp_path / "twelve.onnx").read_bytes()
    assert list((tmp_path / "partial").iterdir()) == []
    assert {name for name in summary if name.startswith("accuracy_")} == {
        "accuracy_first",
        "accuracy_second",
        "accuracy_judge",
    }


def test_what_a_killed_stage_left_is_not_used_for_another_seed(
    killed: Path, images: Path, workers: dict[str, Any], tmp_path: Path
) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in killed.iterdir()}
    prepare_workers(workers, 1, images, tmp_path / "prepared")
    assert {path.name: path.stat().st_mtime_ns for path in killed.iterdir()} == before
    assert all((tmp_path / "prepared" / name).stat().st_mtime_ns > time for name, time in before.items())


def test_an_entry_that_does_not_fit_is_refused_by_name(images: Path, tmp_path: Path) -> None:
    weights = write_colour_classifier(tmp_path / "plain.onnx")
    workers = settings_of(first=entry_of(weights), judge=entry_of(weights, layout="NCHW"))
    with pytest.raises(ValueError, match=r"^workers\.catalogue\.judge: layout NCHW"):
        prepare_workers(workers, 0, images, tmp_path / "prepared")
