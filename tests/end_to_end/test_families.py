"""A run that holds every family of workers out once, through its own command."""

import json

import mlflow
import pytest

from tests.helpers.colour_runs import FAMILIES, LABEL
from tests.helpers.runs import run

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def folds(tmp_path_factory, colour_config):
    """Provide a run of two families, in the smallest size that is judged: its folder and what it printed."""
    runs = tmp_path_factory.mktemp("folds")
    finished = run(
        runs,
        "name=folds",
        "workers.held_out=[]",
        "evaluation.leave_one_family_out=true",
        config=colour_config,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return runs / "folds", finished.stdout


def test_each_family_is_judged_by_its_own_workers_alone(folds):
    folder, _ = folds
    for worker, family in zip(LABEL, FAMILIES, strict=True):
        metrics = json.loads((folder / "families" / family / "metrics.json").read_text())
        assert set(metrics["workers"]) == {worker, "mean"}
        assert (folder / "families" / family / "model" / "metrifier.onnx").is_file()
        assert (folder / "families" / family / "report.html").read_text().startswith("<!doctype html>")


def test_the_mean_is_that_of_the_folds(folds):
    folder, printed = folds
    compared = json.loads((folder / "families.json").read_text())
    assert tuple(compared["families"]) == FAMILIES
    values = [
        json.loads((folder / "families" / family / "metrics.json").read_text())["workers"]["mean"]["global"]["value"]
        for family in FAMILIES
    ]
    mean = compared["mean"]["seen"]["predictors"]["metrifier"]["global"]["value"]
    assert mean == pytest.approx(sum(values) / 2)
    for expected in ("Mean over the families", f"{mean:.3f}", "families.md"):
        assert expected in printed


def test_mlflow_has_a_run_a_stage_and_fold_and_the_shards_once(folds):
    folder, _ = folds
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    names = [found.info.run_name for found in runs]
    stages = [f"{stage} without {name}" for stage in ("merge_dataset", "train_metrifier") for name in FAMILIES]
    for name in (*stages, "distort", "worker_evaluate", "compare_families", "folds"):
        assert names.count(name) == 1, name
    (parent,) = (found for found in runs if found.info.run_name == "folds")
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["mlflow.note.content"] == (folder / "families.md").read_text()
    assert parent.data.metrics["mean_global"] == pytest.approx(
        sum(parent.data.metrics[f"{name}_global"] for name in FAMILIES) / 2
    )
