"""`metrifier compare`: runs and models, in folders and in MLflow, on the same test versions."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from metrifier_core.cli import app
from metrifier_core.data.records import REJECTED, open_writer
from metrifier_core.evaluation.comparison import compare_scores, read_judged_rows, score_rows
from tests.helpers.run_products import registered_runs, write_judged_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        "good": write_judged_run(folder / "good", lambda quality: quality),
        "poor": write_judged_run(folder / "poor", lambda quality: 1 - quality),
        "smaller": write_judged_run(folder / "smaller", lambda quality: quality, images=4),
    }


@pytest.fixture(scope="module")
def in_mlflow(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Provide the same runs as MLflow names them, and its registry while the test runs."""
    with registered_runs(tmp_path_factory.mktemp("registry"), runs) as names:
        yield names


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
    seen, unseen = found["seen"], found["unseen"]
    assert seen is not None
    assert unseen is not None
    assert (seen.rows, unseen.rows) == (10, 5)
    pair = seen.metrics["global"]
    assert pair.better == "first"
    assert pair.first == -pair.second > 0.9


def test_two_runs_and_a_model_are_compared(runs: dict[str, Path], tmp_path: Path) -> None:
    status, shown, _ = invoke(runs["good"], runs["poor"], "--output", tmp_path / "found.json", "--replicates", 50)
    assert status == 0
    assert "10 test versions of 5 images, distortions seen in training" in shown
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


def compared(folder: Path, *arguments: object) -> dict[str, Any]:
    status, _, said = invoke(*arguments, "--replicates", 50, "--output", folder / "found.json")
    assert status == 0, said
    found: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return found


def test_runs_of_mlflow_are_compared_as_their_folders_are(
    runs: dict[str, Path], in_mlflow: dict[str, str], tmp_path: Path
) -> None:
    own = compared(tmp_path, runs["good"], runs["poor"])
    fetched = compared(tmp_path, in_mlflow["good"], in_mlflow["poor"])
    assert fetched["on"] == in_mlflow["good"]
    assert [fetched[part] for part in ("seen", "unseen")] == [own[part] for part in ("seen", "unseen")]
    # A folder has the versions, so that a run on others can be judged on them.
    mixed = compared(tmp_path, in_mlflow["smaller"], runs["poor"])
    assert mixed["on"] == str(runs["poor"])
    assert mixed["seen"]["metrics"]["global"]["better"] == "first"


def test_models_of_the_registry_are_compared_on_a_run(
    runs: dict[str, Path], in_mlflow: dict[str, str], tmp_path: Path
) -> None:
    """As docs/evaluation.md has it; both are the same network of brightness."""
    assert in_mlflow
    found = compared(tmp_path, "models:/metrifier@challenger", "models:/metrifier@champion", "--on", runs["poor"])
    assert found["seen"]["metrics"]["global"]["difference"]["value"] == 0


def test_what_mlflow_does_not_keep_is_said(runs: dict[str, Path], in_mlflow: dict[str, str]) -> None:
    for first, second in (
        (in_mlflow["smaller"], in_mlflow["good"]),
        (in_mlflow["good"], f"{runs['poor']}/model"),
    ):
        status, shown, error = invoke(first, second)
        assert (status, shown) == (2, "")
        assert f"{second} has not scored the test versions of {first}, and MLflow keeps no versions" in error


@pytest.mark.usefixtures("in_mlflow")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("{good}/model", "{poor}/model"), "neither A nor B is the folder of a finished run"),
        (("{good}", "nowhere"), "nowhere does not hold a metrifier"),
        (
            ("{good}", "runs:/0123456789abcdef"),
            "predictions.parquet cannot be loaded from sqlite:",
        ),
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
