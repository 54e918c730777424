"""The end of a run: closed as failed where it was not completed, with the reason that a stage noted."""

import socket

import pytest
from kfp.dsl import Dataset, PipelineTaskFinalStatus
from mlflow import MlflowClient

import components
from metrifier_core.tracking import PipelineRun, find_run, log_fan_out, log_stage, note_failure


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'mlflow.db'}"


@pytest.fixture
def logged(database, request, monkeypatch):
    """Return the identity of a run whose first stage is logged, and which goes on."""
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


@pytest.mark.parametrize("state", ["FAILED", "RUNNING", "CANCELED", "STATE_UNSPECIFIED"])
def test_without_a_message_it_is_said_how_the_pipeline_ended(logged, state):
    """Servers up to 2.16 say RUNNING of a failure inside a loop; this task is the last, so nothing goes on."""
    closed = close(logged, state)
    assert (closed.info.status, closed.data.tags["metrifier.failure"]) == ("FAILED", f"the pipeline ended as {state}")


@pytest.mark.parametrize("state", ["SUCCEEDED", "COMPLETE"])
def test_a_run_that_succeeded_is_left_as_it_is(logged, state):
    left = close(logged, state)
    assert left.info.status == "RUNNING"
    assert "metrifier.failure" not in left.data.tags


@pytest.mark.parametrize("state", ["FAILED", "RUNNING", "CANCELED"])
def test_a_run_that_mlflow_has_as_finished_stays_finished(logged, state):
    MlflowClient().set_terminated(find_run(logged).info.run_id, "FINISHED")
    left = close(logged, state, "a pod was lost after registration")
    assert left.info.status == "FINISHED"
    assert "metrifier.failure" not in left.data.tags


def fail(reason):
    """Run the component of a stage that fails."""
    with pytest.raises(ValueError, match=reason):
        components.download.python_func(
            source={"kind": "folder", "root": f"/{reason}"},
            splits=[],
            seed=0,
            shards=1,
            images=Dataset(uri="images"),
            rejected=Dataset(uri="rejected"),
        )


@pytest.mark.parametrize("state", ["FAILED", "RUNNING"])
def test_the_reason_is_the_one_that_the_stage_noted(logged, state):
    fail("nowhere")
    assert find_run(logged).info.status == "RUNNING", "the stage may be tried again"
    closed = close(logged, state)
    assert closed.info.status == "FAILED"
    assert closed.data.tags["metrifier.failure"].startswith("download: ")
    assert "/nowhere" in closed.data.tags["metrifier.failure"]


def test_a_stage_that_is_tried_again_and_succeeds_has_not_failed(logged):
    fail("nowhere")
    log_stage(PipelineRun(), "distort", {}, {"started_at": 3.0, "finished_at": 4.0})
    assert "metrifier.failure" in find_run(logged).data.tags, "another stage says nothing of this one"
    log_stage(PipelineRun(), "download", {}, {"started_at": 3.0, "finished_at": 4.0})
    assert "metrifier.failure" not in find_run(logged).data.tags
    assert close(logged, "FAILED").data.tags["metrifier.failure"] == "the pipeline ended as FAILED"


def test_the_fold_of_another_family_says_nothing_of_one_that_failed(logged):
    note_failure("train_metrifier", "training diverged")
    summary = {"started_at": 3.0, "finished_at": 4.0}
    log_stage(PipelineRun(held_out_family="plain"), "train_metrifier", {}, summary)
    assert find_run(logged).data.tags["metrifier.failure"] == "train_metrifier: training diverged"


def test_joined_losses_are_proved_by_the_shards_that_were_logged(logged):
    note_failure("join_losses", "no space left")
    log_fan_out(PipelineRun(), "worker_evaluate", {}, [{"versions": 1, "started_at": 3.0, "finished_at": 4.0}])
    assert "metrifier.failure" not in find_run(logged).data.tags


@pytest.mark.usefixtures("logged")
def test_what_mlflow_says_does_not_stand_before_the_reason(monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    fail("nowhere")
    said = capsys.readouterr().err
    assert said.index("download: failed: ") < said.index("the failure of download could not be noted in MLflow")
    assert "secret" not in said


@pytest.mark.parametrize("variable", ["METRIFIER_RUN_ID", "MLFLOW_TRACKING_URI"])
def test_a_stage_outside_of_a_pipeline_tells_nobody(logged, monkeypatch, variable):
    with monkeypatch.context() as outside:
        outside.delenv(variable)
        fail("nowhere")
    assert "metrifier.failure" not in find_run(logged).data.tags


def test_in_a_run_that_the_engine_made_the_reason_is_noted_and_the_engine_closes_it(logged, monkeypatch):
    client = MlflowClient()
    experiment = find_run(logged).info.experiment_id
    parent = client.create_run(experiment).info.run_id
    task = client.create_run(experiment, tags={"mlflow.parentRunId": parent}).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", task)
    fail("nowhere")
    assert client.get_run(parent).data.tags["metrifier.failure"].startswith("download: ")
    close(logged, "FAILED")
    closed = client.get_run(parent)
    assert closed.data.tags["metrifier.failure"].startswith("download: ")
    assert closed.info.status == "RUNNING"
    assert find_run(logged).info.status == "RUNNING", "it is the other run that this task belongs to"
    log_stage(PipelineRun(), "download", {}, {"started_at": 3.0, "finished_at": 4.0})
    assert "metrifier.failure" not in client.get_run(parent).data.tags
