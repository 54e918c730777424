"""`metrifier threshold`: a threshold and its accuracy on other images, or one sentence."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from metrifier_core.cli import app
from tests.helpers.colour_workers import COLOURS, draw_colours, make_entry, write_colour_classifier, write_manifest
from tests.helpers.tiny_models import write_brightness_metrifier

# Four images of each colour; the brighter the colour, the more often the worker is right.
IMAGES = 40
BRIGHTNESS = COLOURS.sum(axis=1)
RIGHT_OF_FOUR = {570: 4, 505: 4, 495: 4, 475: 4, 465: 4, 415: 2, 405: 2, 365: 0, 285: 0}


def run(*arguments: object, command: str = "threshold", given: str | None = None) -> Result:
    """Run `metrifier threshold` with this standard input; an exception other than its exit fails the test."""
    runner = CliRunner(env={"COLUMNS": "120"})
    return runner.invoke(app, [command, *map(str, arguments)], input=given, catch_exceptions=False)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a brightness metrifier, a worker and labelled images."""
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
    # Of the five brightest colours all 20 are right; with 415 = .542 * 3 * 255 it is 22 of 24, with the next 26 of 32.
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
    rows = [re.split(" {2,}", line.strip()) for line in table if "%" in line][1:]
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
    output = tmp_path / "found.json"
    arguments = [*given(gate), "--match", "0[0-2]*", "--output", output]
    assert run(*arguments, "--target-accuracy", 0.5).exit_code == 0
    assert json.loads(output.read_text())["threshold"] is not None
    result = run(*arguments, "--target-accuracy", 1)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("no threshold that keeps 20 images or more reaches an accuracy of 1: the best is ")
    assert result.stderr.count("\n") == 1
    # The older threshold is gone.
    found = json.loads(output.read_text())
    assert (found["threshold"], found["reason"], found["images"]) == (None, result.stderr.strip(), 30)
    refused = run(gate / "images", "--model", gate / "model", "--threshold", found["threshold"], command="score")
    assert (refused.exit_code, refused.stdout) == (2, "")


def test_too_few_images_leave_no_older_gate_either(gate: Path, tmp_path: Path) -> None:
    output = tmp_path / "found.json"
    output.write_text('{"threshold": 0.5}')
    result = run(*given(gate), "--match", "00*", "--keep", 0.5, "--output", output)
    assert (result.exit_code, result.stdout) == (2, "")
    assert json.loads(output.read_text())["threshold"] is None


def test_the_list_of_images_is_read_from_standard_input(
    gate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = read(run(*given(gate), "--keep", 0.8, "--output", "-"))
    listed = (gate / "manifest.csv").read_text()
    arguments = [*given(gate), "--images", "-", "--keep", 0.8, "--output", "-"]
    monkeypatch.chdir(gate)
    assert read(run(*arguments, given=listed)) == own
    monkeypatch.chdir(tmp_path)
    assert read(run(*arguments, "--root", gate / "images", given=listed)) == own
    wrong = run(*arguments, given="path\na.png\n")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert wrong.stderr == "--images: standard input has no column 'label_index'\n"


def test_a_list_of_no_images_is_refused(gate: Path) -> None:
    result = run(*given(gate), "--images", "-", "--keep", 0.5, given="path,label_index\n")
    assert (result.exit_code, result.stderr) == (2, "--images: standard input names no images\n")


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
        # Before a worker is opened, which may have to be downloaded first.
        (["--keep", 0.5, "--images", "nowhere.csv", "--worker", "color"], "--images: there is no file nowhere.csv"),
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
