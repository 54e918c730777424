"""`metrifier compare`: runs and models on the same test versions."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from metrifier_core.cli import app
from metrifier_core.comparison import compare_scores, read_judged_rows, score_rows
from metrifier_core.images import encode_png
from metrifier_core.records import IMAGES, PREDICTIONS, QUALITY, REJECTED, open_writer
from tests.core.tiny_models import write_brightness_metrifier

SPLITS = ["train", "test", "test", "test", "test", "test"]
CONDITIONS = [("pristine", 0), ("fog", 2), ("fog", 4)]


def write_run(folder: Path, predict: Callable[[float], float], *, images: int = len(SPLITS)) -> Path:
    """A finished run whose images are the brighter, the better; its own metrifier predicts from the quality."""
    rng = np.random.default_rng(0)
    rows, pixels = [], []
    for index, split in enumerate(SPLITS[:images]):
        for distortion, severity in CONDITIONS:
            brightness = round(255 - 20 * index - 25 * severity)
            key = {"image_id": f"image {index}", "label": 0, "distortion": distortion, "severity": severity, "seed": 0}
            rows.append({**key, "split": split})
            pixels.append(np.full((32, 32, 3), brightness, np.uint8))
    quality = [image.mean() / 255 for image in pixels]
    with open_writer(folder / "versions" / "versions-00000-of-00001.parquet", IMAGES, "versions") as writer:
        for row, image in zip(rows, pixels, strict=True):
            writer.write({**row, "image": {"bytes": encode_png(image), "path": ""}})
    with open_writer(folder / "quality.parquet", QUALITY, "quality") as writer:
        for row, value in zip(rows, quality, strict=True):
            writer.write({**row, "quality": value, "worker_tcp": [value]})
    others = dict.fromkeys(
        ("laplacian_variance", "jpeg_size", "brisque_trees", "severity_oracle", "label_confidence"), 0.0
    )
    with open_writer(folder / "predictions.parquet", PREDICTIONS, "predictions") as writer:
        for row, value in zip(rows, quality, strict=True):
            tcp = np.clip(value + rng.normal(0, 0.02, 2), 0, 1).tolist()
            answers = {"held_out_tcp": tcp, "held_out_right": [each > 0.5 for each in tcp], "held_out": sum(tcp) / 2}
            judged = {**row, "quality": value, "predicted": predict(value), "unseen": row["severity"] == 4}
            if row["split"] == "test":
                writer.write({**judged, **answers, **others, "psnr": None, "ssim": None})
    write_brightness_metrifier(folder / "model")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        "good": write_run(folder / "good", lambda quality: quality),
        "poor": write_run(folder / "poor", lambda quality: 1 - quality),
        "smaller": write_run(folder / "smaller", lambda quality: quality, images=4),
    }


def invoke(*arguments: object) -> tuple[int, str, str]:
    found = CliRunner().invoke(app, ["compare", *map(str, arguments)], catch_exceptions=False)
    return found.exit_code, found.stdout, found.stderr


def test_a_model_scores_the_test_versions_of_a_run(runs: dict[str, Path]) -> None:
    rows = read_judged_rows(runs["good"] / "predictions.parquet")
    versions = [runs["good"] / "versions" / "versions-00000-of-00001.parquet"]
    scores = score_rows(lambda image: float(image.mean() / 255), rows, versions, runs["good"] / "quality.parquet")
    assert scores == pytest.approx(rows.quality)
    other = runs["smaller"]
    with pytest.raises(ValueError, match="are not those that the run was judged on"):
        score_rows(lambda _: 0.5, rows, [other / "versions" / versions[0].name], other / "quality.parquet")


def test_seen_and_unseen_distortions_are_compared_apart(runs: dict[str, Path]) -> None:
    rows = read_judged_rows(runs["good"] / "predictions.parquet")
    found = compare_scores(rows, rows.predicted, 1 - rows.predicted, replicates=50, seed=0)
    assert (found["seen"]["rows"], found["unseen"]["rows"]) == (10, 5)
    assert found["seen"]["metrics"]["global"]["better"] == "first"
    assert found["seen"]["metrics"]["global"]["first"] == -found["seen"]["metrics"]["global"]["second"] > 0.9


def test_two_runs_and_a_model_are_compared(runs: dict[str, Path], tmp_path: Path) -> None:
    status, shown, _ = invoke(runs["good"], runs["poor"], "--output", tmp_path / "found.json", "--replicates", 50)
    assert status == 0
    assert "10 test versions of 5 images, distortions of the training" in shown
    assert re.search(r"global Spearman +1\.000 +-1\.000 +\+2\.000 +\+\d\.\d{3} to \+\d\.\d{3} +A", shown)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["on"] == str(runs["good"])
    # A model has no scores of its own yet: it makes them.
    by_model = tmp_path / "model.json"
    assert invoke(runs["poor"] / "model", runs["poor"], "--output", by_model, "--replicates", 50)[0] == 0
    again = json.loads(by_model.read_text())
    assert again["on"] == str(runs["poor"])
    for name in ("global", "calibration_error"):
        one, other = (each["seen"]["metrics"][name] for each in (found, again))
        assert one["difference"] == pytest.approx(other["difference"])


def test_a_run_on_other_versions_scores_these(runs: dict[str, Path], tmp_path: Path) -> None:
    assert invoke(runs["poor"], runs["smaller"], "--output", tmp_path / "found.json", "--replicates", 50)[0] == 0
    metrics = json.loads((tmp_path / "found.json").read_text())["seen"]["metrics"]["global"]
    assert metrics["first"] < -0.9 < 0.9 < metrics["second"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("{good}/model", "{poor}/model"), "neither A nor B is the folder of a finished run"),
        (("{good}", "nowhere"), "nowhere does not hold a metrifier"),
        (
            ("{good}", "{poor}", "--output", "/no/such/found.json"),
            "--output /no/such/found.json: there is no folder /no/such",
        ),
        (
            ("{good}", "{poor}", "--on", "nowhere"),
            "nowhere/predictions.parquet is missing: expected the folder of a finished",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(runs: dict[str, Path], arguments: tuple[str, ...], said: str) -> None:
    status, shown, error = invoke(*(argument.format(**runs) for argument in arguments))
    assert (status, shown) == (2, "")
    assert said in error.replace("\n", "")


def test_a_fold_whose_versions_are_elsewhere_cannot_be_scored_by_another(runs: dict[str, Path], tmp_path: Path) -> None:
    shutil.copyfile(runs["good"] / "predictions.parquet", tmp_path / "predictions.parquet")
    status, shown, error = invoke(f"{runs['good']}", f"{runs['poor']}/model", "--on", str(tmp_path))
    assert (status, shown) == (2, "")
    assert f"{tmp_path / 'quality.parquet'} is missing" in error.replace("\n", "")


def test_a_table_of_an_earlier_release_is_refused(tmp_path: Path) -> None:
    with open_writer(tmp_path / "predictions.parquet", REJECTED, "earlier") as writer:
        writer.write({"path": "", "reason": ""})
    with pytest.raises(ValueError, match="no column 'held_out_tcp': it was made by an earlier release"):
        read_judged_rows(tmp_path / "predictions.parquet")
