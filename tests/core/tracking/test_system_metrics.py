"""System metrics of a stage: MLflow logs them to the stage's run, and no stage fails for them."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SUMMARY = {"started_at": 1_000_000.0, "finished_at": 1_000_012.5}
MEMORY = "system/system_memory_usage_percentage"


@pytest.fixture(autouse=True)
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from mlflow import MlflowClient

    for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "METRIFIER_RUN_ID", "METRIFIER_UNLOGGED"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    return MlflowClient()


@pytest.fixture
def run() -> Any:
    from metrifier_core.tracking import PipelineRun

    return PipelineRun("digits", "system metrics")


def stage_runs(client: Any) -> list[Any]:
    experiment = client.get_experiment_by_name("system metrics")
    return [] if experiment is None else client.search_runs([experiment.experiment_id], "tags.`metrifier.stage` != ''")


def wait_for_a_sample(client: Any, after: int = -1) -> None:
    """Wait until a sample of a later step is logged."""
    end = time.monotonic() + 30
    (stage_run,) = stage_runs(client)
    while all(point.step <= after for point in client.get_metric_history(stage_run.info.run_id, MEMORY)):
        assert time.monotonic() < end, "nothing is logged"
        time.sleep(0.05)


def test_system_metrics_arrive_at_the_run_of_the_stage(client: Any, run: Any) -> None:
    from metrifier_core.tracking import log_stage, log_system_metrics

    begun = time.time()
    with log_system_metrics(run, "train_metrifier"):
        wait_for_a_sample(client)
        (open_run,) = stage_runs(client)
        assert open_run.info.status == "RUNNING"
    log_stage(run, "train_metrifier", {}, {**SUMMARY, "epochs": 2})

    (stage_run,) = stage_runs(client)
    assert (stage_run.info.run_id, stage_run.info.status) == (open_run.info.run_id, "FINISHED")
    assert stage_run.data.metrics["epochs"] == 2
    assert {"system/cpu_utilization_percentage", "system/disk_usage_percentage"} <= stage_run.data.metrics.keys()
    history = client.get_metric_history(stage_run.info.run_id, MEMORY)
    assert [point.step for point in history] == list(range(len(history)))
    assert all(0 < point.value < 100 for point in history)
    times = [point.timestamp / 1000 for point in history]
    assert times == sorted(times)
    assert begun - 0.001 <= times[0] <= times[-1] <= time.time()


def test_a_stage_that_failed_and_is_tried_again_goes_on_with_its_run(client: Any, run: Any) -> None:
    from metrifier_core.tracking import fail_run, log_stage, log_system_metrics, open_run

    def train() -> None:
        with log_system_metrics(run, "train_metrifier"):
            wait_for_a_sample(client)
            raise ValueError("training diverged")

    with pytest.raises(ValueError, match="diverged"):
        train()
    fail_run(run, "training diverged")
    (failed,) = stage_runs(client)
    assert failed.info.status == "FAILED"
    last = client.get_metric_history(failed.info.run_id, MEMORY)[-1].step

    open_run(run)
    with log_system_metrics(run, "train_metrifier"):
        wait_for_a_sample(client, after=last)
    log_stage(run, "train_metrifier", {}, SUMMARY)
    (finished,) = stage_runs(client)
    assert (finished.info.run_id, finished.info.status) == (failed.info.run_id, "FINISHED")
    steps = [point.step for point in client.get_metric_history(finished.info.run_id, MEMORY)]
    assert steps == list(range(len(steps)))


@pytest.mark.parametrize("missing", ["psutil", "server"])
def test_a_stage_runs_without_what_its_system_metrics_need(
    client: Any, run: Any, missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from metrifier_core.tracking import log_system_metrics

    if missing == "psutil":
        # As if psutil were not installed: this module imports it.
        monkeypatch.setitem(sys.modules, "mlflow.system_metrics.system_metrics_monitor", None)
    else:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = []
    with log_system_metrics(run, "train_metrifier"):
        done.append("training")
    assert done == ["training"]
    message = capsys.readouterr().err
    assert message.startswith("metrifier: train_metrifier: goes on without system metrics. Reason: ")
    assert message.count("\n") == 1
    assert "secret" not in message
    if missing == "psutil":
        assert stage_runs(client) == []


def test_a_server_that_did_not_answer_before_is_not_asked(
    client: Any, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from metrifier_core.tracking import log_system_metrics

    (tmp_path / "unlogged").mkdir()
    monkeypatch.setenv("METRIFIER_UNLOGGED", str(tmp_path / "unlogged"))
    with log_system_metrics(run, "train_metrifier"):
        pass
    assert stage_runs(client) == []
    assert capsys.readouterr().err == ""
