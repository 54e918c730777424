"""The beginning of a run: its digest follows the images, and later stages find it in MLflow."""

import os

import pytest
from mlflow import MlflowClient

import components
from metrifier_core.images import encode_png
from metrifier_core.tracking import PipelineRun, find_run, log_stage
from tests.core.bad_images import picture


@pytest.fixture(autouse=True)
def _tracking(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'mlflow.db'}")
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.setenv("METRIFIER_RUN_ID", "pod-7")


def list_folder(folder):
    source = {"kind": "folder", "root": str(folder)}
    return components.list_source.python_func(name="mine", experiment="quality", source=source)


def test_the_run_is_opened_by_its_name_and_stages_find_it_by_its_identity(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(encode_png(picture()))
    list_folder(tmp_path)
    opened = find_run("pod-7")
    assert (opened.info.run_name, opened.info.status) == ("mine", "RUNNING")
    client = MlflowClient()
    assert client.get_experiment(opened.info.experiment_id).name == "quality"
    log_stage(PipelineRun(), "download", {}, {"started_at": 1.0, "finished_at": 2.0})
    (nested,) = client.search_runs([opened.info.experiment_id], "tags.`metrifier.stage` = 'download'")
    assert nested.data.tags["mlflow.parentRunId"] == opened.info.run_id


def test_the_digest_follows_the_images(tmp_path):
    for name in ("a/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(encode_png(picture()))
        os.utime(tmp_path / name, (1_000_000, 1_000_000))

    first = list_folder(tmp_path)
    assert len(first) == 64
    assert list_folder(tmp_path) == first
    os.utime(tmp_path / "b" / "2.png", (1_000_001, 1_000_001))
    touched = list_folder(tmp_path)
    (tmp_path / "a" / "3.png").write_bytes(encode_png(picture()))
    assert len({first, touched, list_folder(tmp_path)}) == 3
