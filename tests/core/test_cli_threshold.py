"""`metrifier threshold`: a score that holds on images it never saw, or one sentence."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from metrifier_core.cli import app
from metrifier_core.distortions import apply_distortion
from metrifier_core.images import encode_png, read_image
from metrifier_core.sources import ManifestSource, list_items
from metrifier_core.workers import create_worker, read_catalogue
from tests.core.colour_workers import COLOURS, draw_colours, make_entry, write_colour_classifier, write_manifest
from tests.core.tiny_models import write_brightness_metrifier

REPOSITORY = Path(__file__).parents[2]
REAL_DATA = REPOSITORY.parent / "shared" / "realdata"
REAL_CATALOGUE = REPOSITORY / "tests" / "realdata" / "workers.yaml"

# Four images of each colour; the brighter the colour, the oftener their label is what the worker sees.
IMAGES = 40
BRIGHTNESS = COLOURS.sum(axis=1)
RIGHT_OF_FOUR = {570: 4, 505: 4, 495: 4, 475: 4, 465: 4, 415: 2, 405: 2, 365: 0, 285: 0}


def run(*arguments: object, command: str = "threshold") -> Result:
    """Runs `metrifier threshold`; an exception other than its exit fails the test."""
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, [command, *map(str, arguments)], catch_exceptions=False)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a metrifier of brightness, a worker, and labelled images."""
    folder = tmp_path_factory.mktemp("gate")
    write_brightness_metrifier(folder / "model")
    entry = make_entry(write_colour_classifier(folder / "colour.onnx"))
    missing = make_entry(folder / "missing.onnx")
    (folder / "workers.yaml").write_text(json.dumps({"colour": entry, "missing": missing}))
    colours, labels = draw_colours(IMAGES)
    right = np.array([index // 10 < RIGHT_OF_FOUR[BRIGHTNESS[label]] for index, label in enumerate(labels)])
    write_manifest(folder, colours, np.where(right, labels, (labels + 1) % len(COLOURS)))
    return folder


def given(folder: Path) -> list[object]:
    return [
        *("--model", folder / "model"),
        *("--images", folder / "manifest.csv"),
        *("--workers", folder / "workers.yaml"),
        *("--worker", "colour"),
    ]


def read(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_target_by_hand(gate: Path) -> None:
    found = read(run(*given(gate), "--target-accuracy", 0.9, "--output", "-"))
    # Of five colours all 20 are right; with that of 415 = .542 * 3 * 255 it is 22 of 24, with the next 26 of 32.
    assert (found["threshold"], found["kept_images"], found["images"]) == (round(415 / 765, 6), 24, 40)
    assert found["accuracy"]["here"] == pytest.approx(22 / 24)
    assert found["accuracy"]["low"] < 22 / 24 < found["accuracy"]["high"]
    assert found["kept"]["here"] == pytest.approx(24 / 40)
    assert found["accuracy_of_all"] == pytest.approx(26 / 40)
    assert (found["target_accuracy"], found["keep"], found["worker"]) == (0.9, None, "colour")
    assert found["model"] == {"name": str(gate / "model"), "fingerprint": "0", "runtime": "onnx"}
    assert found["unusable"] == {}


def test_a_share_by_hand(gate: Path) -> None:
    found = read(run(*given(gate), "--keep", 0.8, "--output", "-"))
    assert (found["threshold"], found["kept_images"]) == (round(405 / 765, 6), 32)
    assert found["accuracy"]["here"] == found["accuracy"]["expected"] == pytest.approx(26 / 32)


def test_the_table_says_it_for_people(gate: Path, tmp_path: Path) -> None:
    output = tmp_path / "found.json"
    result = run(*given(gate), "--target-accuracy", 0.9, "--output", output)
    assert (result.exit_code, result.stderr) == (0, "")
    first, *table = result.stdout.splitlines()
    assert first == "threshold 0.542484: accept what scores at least this"
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in table if line.startswith("│")]
    accuracy = json.loads(output.read_text())["accuracy"]
    assert [row[0] for row in rows] == ["kept", "accuracy of what is kept", "accuracy of all"]
    assert [row[1] for row in rows] == ["60.0% (24 of 40)", "91.7%", "65.0%"]
    assert rows[1][2] == f"{accuracy['expected']:.1%} ({accuracy['low']:.1%} to {accuracy['high']:.1%})"


def test_score_accepts_what_threshold_kept(gate: Path) -> None:
    found = read(run(*given(gate), "--target-accuracy", 0.9, "--output", "-"))
    arguments = [gate / "images", "--model", gate / "model", "--threshold", found["threshold"]]
    rows = list(csv.DictReader(io.StringIO(run(*arguments, command="score").stdout)))
    assert sum(row["decision"] == "accept" for row in rows) == found["kept_images"]


def test_what_cannot_be_reached_is_one_sentence(gate: Path, tmp_path: Path) -> None:
    arguments = [*given(gate), "--match", "0[0-2]*", "--output", tmp_path / "found.json"]
    result = run(*arguments, "--target-accuracy", 1)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("no threshold that keeps 20 images or more reaches an accuracy of 1: the best is ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "found.json").exists()


def test_images_that_cannot_be_used_are_named_and_left_out(gate: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text((gate / "manifest.csv").read_text() + "missing.png,0\nworkers.yaml,3\n")
    (tmp_path / "images").symlink_to(gate / "images")
    arguments = [*given(gate), "--images", manifest, "--keep", 0.8, "--output", "-"]
    result = run(*arguments)
    reason = "cannot be read: No such file or directory"
    assert sorted(result.stderr.splitlines()) == [f"left out missing.png: {reason}", f"left out workers.yaml: {reason}"]
    found = read(result)
    assert found["unusable"] == {"missing.png": reason, "workers.yaml": reason}
    assert found["images"] == IMAGES


def test_limit_takes_images_in_an_order_of_their_identity(gate: Path) -> None:
    found = read(run(*given(gate), "--keep", 0.8, "--limit", 25, "--output", "-"))
    assert found["images"] == 25


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([], "give either --target-accuracy or --keep"),
        (["--keep", 0.5, "--target-accuracy", 0.5], "give either --target-accuracy or --keep"),
        (["--keep", 0.5, "--worker", "color"], "--worker: unknown worker 'color', did you mean 'colour'?"),
        (["--keep", 0.5, "--worker", "missing"], "--worker: workers.catalogue.missing.file: there is no file "),
        (["--keep", 0.5, "--worker", "miniature_vgg"], "--worker: 'miniature_vgg' is trained on the images of a run"),
        (["--keep", 0.5, "--model", "nowhere"], "--model nowhere: nowhere does not hold a metrifier"),
        (["--keep", 0.5, "--workers", "nowhere.yaml"], "nowhere.yaml: there is no file nowhere.yaml"),
        (["--keep", 0.5, "--images", "nowhere.csv"], "--images: there is no file nowhere.csv"),
        (["--keep", 0.5, "--output", "nowhere/a.json"], "--output nowhere/a.json: there is no folder nowhere"),
        (["--keep", 0.5, "--match", "00*"], "a threshold needs at least 20 images, there are 10"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(changes: list[object], message: str, gate: Path) -> None:
    result = run(*given(gate), *changes)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1


def test_a_label_that_is_no_class_of_the_worker_is_named(gate: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text((gate / "manifest.csv").read_text().replace("000.png,0", "000.png,10"))
    result = run(*given(gate), "--images", manifest, "--root", gate / "images", "--keep", 0.5)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "--worker: the labels are 10 to 10, the worker's classes 0 to 9\n"


def test_help_shows_examples() -> None:
    text = " ".join(run("--help").stdout.replace("│", " ").split())
    assert "metrifier threshold --model runs/mine/model --images manifest.csv --worker resnet50" in text
    assert "--target-accuracy" in text
    assert "--keep" in text


@pytest.mark.realdata
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"there is no {REAL_DATA}")
def test_accuracy_on_a_disjoint_half_of_real_images_is_in_the_interval(tmp_path: Path) -> None:
    """Photographs in the dark, from not at all to severely: there a metrifier of brightness knows something."""
    worker = create_worker("squeezenet1_1_f32", read_catalogue(REAL_CATALOGUE))
    model = write_brightness_metrifier(tmp_path / "model", crop=224)
    source = ManifestSource(kind="manifest", manifest=str(REAL_DATA / "manifest.csv"), root=str(REAL_DATA / "images"))
    items = [item for item in list_items(source) if item.image_id.startswith("val650/")][:400]
    rng = np.random.default_rng(0)
    rows: list[str] = []
    images = tmp_path / "images"
    images.mkdir()
    for index, item in enumerate(items):
        image = read_image(REAL_DATA / "images" / item.image_id)
        severity = index // 2 % 6
        dark = image if severity == 0 else apply_distortion(image, "low_light", severity, rng)
        (images / f"{index:03d}.png").write_bytes(encode_png(dark))
        rows.append(f"{index:03d}.png,{item.label}\n")
    (tmp_path / "manifest.csv").write_text("path,label_index\n" + "".join(rows[::2]))

    arguments = ["--model", model, "--images", tmp_path / "manifest.csv", "--workers", REAL_CATALOGUE]
    arguments += ["--worker", "squeezenet1_1_f32", "--output", "-"]
    targeted = read(run(*arguments, "--target-accuracy", 0.6))
    assert targeted["accuracy_of_all"] < 0.5
    kept = read(run(*arguments, "--keep", 0.5))
    others = [images / f"{index:03d}.png" for index in range(1, len(items), 2)]
    right = [
        worker.logits([read_image(path)])[0].argmax() == item.label
        for path, item in zip(others, items[1::2], strict=True)
    ]
    for found in (targeted, kept):
        scored = run(*others, "--model", model, "--threshold", found["threshold"], command="score")
        accepted = [row["decision"] == "accept" for row in csv.DictReader(io.StringIO(scored.stdout))]
        accuracy = np.mean([own for own, good in zip(right, accepted, strict=True) if good])
        assert found["accuracy"]["low"] <= accuracy <= found["accuracy"]["high"]
        assert found["kept"]["low"] <= np.mean(accepted) <= found["kept"]["high"]
        assert found["accuracy"]["high"] - found["accuracy"]["low"] < 0.35
