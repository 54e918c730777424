"""The end of a run: closed as failed where it did, and else left as MLflow has it."""

import pytest
from kfp.dsl import PipelineTaskFinalStatus
from mlflow import MlflowClient

import components
from metrifier_core.tracking import PipelineRun, find_run, log_stage


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'mlflow.db'}"


@pytest.fixture
def logged(database, request, monkeypatch):
    """The identity of a run whose first stage is logged, and which goes on."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.setenv("METRIFIER_RUN_ID", request.node.name)
    log_stage(PipelineRun(), "download", {}, {"started_at": 1.0, "finished_at": 2.0})
    return request.node.name


def close(logged, state, message=""):
    status = PipelineTaskFinalStatus(state, "job", "stages", 1 if message else 0, message)
    components.close_run.python_func(status)
    return find_run(logged)


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "CANCELLED"])
def test_a_run_that_failed_is_closed_with_its_reason(logged, state):
    closed = close(logged, state, "out of memory")
    assert (closed.info.status, closed.data.tags["metrifier.failure"]) == ("FAILED", "out of memory")


@pytest.mark.parametrize("state", ["SUCCEEDED", "RUNNING", "STATE_UNSPECIFIED"])
def test_a_run_that_did_not_fail_is_left_as_it_is(logged, state):
    left = close(logged, state)
    assert left.info.status == "RUNNING"
    assert "metrifier.failure" not in left.data.tags


def test_a_run_that_mlflow_has_as_finished_stays_finished(logged):
    MlflowClient().set_terminated(find_run(logged).info.run_id, "FINISHED")
    left = close(logged, "FAILED", "a pod was lost after registration")
    assert left.info.status == "FINISHED"
    assert "metrifier.failure" not in left.data.tags
