"""What is posted to Kubeflow is what was compiled, and what it answers becomes one sentence."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec
from mlflow import MlflowClient
from typer.testing import CliRunner

from pipelines import compile as compiling
from pipelines.cluster import kfp_server as services
from pipelines.submit import app
from tests.helpers.kfp_run_server import EXPERIMENT, RUN, failed_tasks, serve

CONFIG = Path(__file__).parents[2] / "configs" / "digits.yaml"
_VARIABLES = (
    "KF_PIPELINES_TOKEN",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
    "MLFLOW_HTTP_REQUEST_TIMEOUT",
)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    output = tmp_path_factory.mktemp("package") / "metrifier.yaml"
    result = CliRunner().invoke(compiling.app, ["--config", str(CONFIG), "--output", str(output)])
    assert result.exit_code == 0
    return output


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setattr(services, "_POLL_SECONDS", 0.01)
    for variable in _VARIABLES:
        monkeypatch.setenv(variable, "")  # so that what a command sets is undone
        monkeypatch.delenv(variable)
    with serve() as running:
        yield running


def submit(package, service, *arguments):
    return CliRunner().invoke(app, [str(package), "--endpoint", service.url, *arguments])


def test_what_is_posted_is_what_was_compiled(package, service):
    result = submit(package, service)
    assert result.exit_code == 0, result.output
    assert f"{service.url}/#/runs/details/{RUN}" in result.output
    (posted,) = service.posted
    pipeline, platform = yaml.safe_load_all(package.read_text())
    assert posted["pipeline_spec"] == {"pipeline_spec": pipeline, "platform_spec": platform}
    assert (posted["display_name"], posted["experiment_id"]) == ("digits", EXPERIMENT)
    json_format.ParseDict(posted["pipeline_spec"]["pipeline_spec"], PipelineSpec())


def test_overrides_are_whole_typed_parameters(package, service):
    options = ["seed=7", "metrifier.epochs=5", "name=other", "workers.together=1"]
    assert submit(package, service, *options, "-e", "mine").exit_code == 0
    (posted,) = service.posted
    parameters = posted["runtime_config"]["parameters"]
    defaults = yaml.safe_load(package.read_text().split("\n---\n")[0])["root"]["inputDefinitions"]["parameters"]
    assert set(parameters) == {"seed", "metrifier", "name", "workers", "worker_groups"}
    assert parameters["seed"] == 7
    assert parameters["metrifier"] == {**defaults["metrifier"]["defaultValue"], "epochs": 5}
    assert [len(group) for group in parameters["worker_groups"]] == [1] * len(parameters["worker_groups"])
    assert posted["display_name"] == "other"


def test_kfps_own_command_posts_the_same(package, service):
    arguments = ["run", "create", "-e", "metrifier", "-r", "digits", "-f", str(package), "seed=7"]
    command = [str(Path(sys.executable).with_name("kfp")), "--endpoint", service.url, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert submit(package, service, "seed=7").exit_code == 0
    theirs, ours = service.posted
    assert ours["pipeline_spec"] == theirs["pipeline_spec"]
    assert ours["runtime_config"]["parameters"] == theirs["runtime_config"]["parameters"] == {"seed": 7}


def test_watching_ends_with_the_run(package, service):
    service.states = ["PENDING", "RUNNING", "RUNNING", "SUCCEEDED"]
    result = submit(package, service, "--watch")
    assert result.exit_code == 0, result.output
    assert [line.split()[-1] for line in result.output.splitlines() if line.startswith("State:")] == [
        "pending",
        "running",
        "succeeded",
    ]


def test_a_run_that_fails_is_an_error_that_names_the_stage(package, service):
    service.states = ["RUNNING", "FAILED"]
    result = submit(package, service, "--watch")
    assert result.exit_code == 1
    assert "the run ended as FAILED: train_metrifier failed\n" in result.output


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        (failed_tasks("worker-evaluate", "worker-evaluate"), "worker_evaluate failed"),
        (failed_tasks("merge-dataset-2", "distort"), "merge_dataset failed; distort failed"),
        ([{"display_name": "distort-driver", "state": "FAILED", "child_tasks": [{"pod_name": "p"}]}], "distort failed"),
        ([{"display_name": "root-driver", "state": "FAILED"}], "root-driver failed"),
        ([{"display_name": "root", "state": "FAILED", "error": {"message": "no disk"}}], "root failed (no disk)"),
        ([{"state": "FAILED", "child_tasks": [{"pod_name": "p"}]}], "the server gives no reason"),
        ([], "the server gives no reason"),
    ],
)
def test_each_stage_that_failed_is_named_once_whatever_the_server_knows_of_it(package, service, tasks, said):
    service.states, service.tasks = ["FAILED"], tasks
    assert f"the run ended as FAILED: {said}\n" in submit(package, service, "--watch").output


def test_why_a_stage_failed_is_read_in_mlflow(service, tmp_path, monkeypatch):
    """No released server of Kubeflow's says it; a name from inside of the cluster is another one from here."""
    database = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(database)
    tags = {"kfp.pipeline_run_id": RUN, "metrifier.failure": "train_metrifier: no space left"}
    run = client.create_run(client.create_experiment("quality"), tags=tags)
    output = tmp_path / "metrifier.yaml"
    arguments = ["--config", str(CONFIG), "--output", str(output), "tracking.uri=http://mlflow.mlflow:5000"]
    assert CliRunner().invoke(compiling.app, arguments).exit_code == 0
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    service.states = ["FAILED"]
    lines = submit(output, service, "--watch").output.splitlines()
    ended = lines.index("the run ended as FAILED: train_metrifier failed")
    assert lines[ended + 1] == "Reason:   train_metrifier: no space left"
    assert lines[ended + 2].endswith(f"/runs/{run.info.run_id}")
    service.states = ["SUCCEEDED"]
    assert "Reason:" not in submit(output, service, "--watch").output


def test_a_cancelled_run_ends_too(package, service):
    service.states = ["CANCELED"]
    result = submit(package, service, "--watch")
    assert result.exit_code == 1
    assert "the run ended as CANCELED" in result.output


def test_a_server_that_is_away_for_a_while_is_waited_for(package, service):
    service.failures = 3
    result = submit(package, service, "--watch")
    assert result.exit_code == 0, result.output
    assert result.output.count("answers 502") == 1
    assert "asking again for up to 5 minutes" in result.output
    assert "the run succeeded" in result.output


def test_how_the_run_ended_stands_before_mlflow_which_is_not_waited_for(tmp_path, service):
    away = "http://mlflow.invalid:5000"
    output = tmp_path / "metrifier.yaml"
    arguments = ["--config", str(CONFIG), "--output", str(output), f"tracking.uri={away}"]
    assert CliRunner().invoke(compiling.app, arguments).exit_code == 0
    began = time.monotonic()
    result = submit(output, service, "--watch")
    assert time.monotonic() - began < 60
    assert result.output.index("the run succeeded") < result.output.index(f"MLflow:   {away}")


def test_a_server_that_is_lost_does_not_end_the_run(package, service, monkeypatch):
    monkeypatch.setattr(services, "_MAX_ABSENCE", 0.05)
    service.refusals = {"/apis/v2beta1/runs/": (502, "bad gateway")}
    result = submit(package, service, "--watch")
    assert result.exit_code == 3
    assert "lost sight of the run, which goes on" in result.output


@pytest.mark.parametrize(("status", "remedy"), [(401, "set KF_PIPELINES_TOKEN"), (403, "ask for the rights")])
def test_who_may_not_look_any_more_is_told_at_once(package, service, status, remedy):
    service.refusals = {"/apis/v2beta1/runs/": (status, "")}
    began = time.monotonic()
    result = submit(package, service, "--watch")
    assert time.monotonic() - began < 60
    assert result.exit_code == 3
    assert "lost sight of the run, which goes on" in result.output
    assert remedy in result.output


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/apis/v2beta1/healthz", 401, "401 Unauthorized: it requires authentication: set KF_PIPELINES_TOKEN"),
        ("/apis/v2beta1/runs", 403, "403 Forbidden: access is denied"),
        ("/", 404, "404 Not Found: there is no Kubeflow Pipelines at this address"),
        ("/apis/v2beta1/runs", 500, "500 Internal Server Error: it says: out of disk"),
    ],
)
def test_what_the_server_refuses_is_one_sentence(package, service, path, status, message):
    service.refusals = {path: (status, "out of disk\nand a long trace")}
    result = submit(package, service)
    assert result.exit_code == 1
    assert result.output.startswith(f"nothing was submitted: {service.url} answers {message}")
    assert len(result.output.splitlines()) == 1


def test_a_page_that_is_no_api_is_one_sentence(package, service):
    service.refusals = {"/": (200, "<html>Please log in</html>")}
    result = submit(package, service)
    assert result.exit_code == 1
    assert "does not answer as Kubeflow Pipelines does" in result.output
    assert len(result.output.splitlines()) == 1


def test_nobody_there_is_one_sentence(package):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        result = CliRunner().invoke(app, [str(package), "--endpoint", url])
    assert result.exit_code == 1
    assert result.output.startswith(f"nothing was submitted: {url} does not answer: ")
    assert len(result.output.splitlines()) == 1


def test_a_server_that_says_nothing_is_given_up(package, monkeypatch):
    monkeypatch.setattr(services, "_REQUEST_TIMEOUT", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        result = CliRunner().invoke(app, [str(package), "--endpoint", url])
    assert result.exit_code == 1
    assert "does not answer: " in result.output


@pytest.mark.parametrize("silent", ["GET experiments", "POST runs"])
def test_a_server_that_is_well_and_then_says_nothing_is_given_up(package, service, monkeypatch, silent):
    monkeypatch.setattr(services, "_REQUEST_TIMEOUT", 1)
    service.silences = {silent}
    began = time.monotonic()
    result = submit(package, service)
    assert time.monotonic() - began < 60
    assert result.exit_code == 1
    assert result.output.startswith(f"nothing was submitted: {service.url} does not answer: ")
    assert len(result.output.splitlines()) == 1


def test_the_token_comes_from_the_environment_and_is_never_shown(package, service, monkeypatch):
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "secret-token")
    result = submit(package, service)
    assert result.exit_code == 0
    assert set(service.authorizations) == {"Bearer secret-token"}
    assert "secret-token" not in result.output
    assert "secret-token" not in json.dumps(service.posted)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("metrifier.epoch=5", "metrifier.epoch: unknown key, did you mean 'epochs'?"),
        ("cluster.parallel_shards=3", "cluster: is written into the graph: set it where the pipeline is compiled"),
        ("tracking.uri=http://other.example", "tracking.uri: is compiled into every task's environment"),
        ("evaluation.leave_one_family_out=true", "the families are part of the graph: compile it again"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_posted(package, service, override, message):
    result = submit(package, service, override)
    assert result.exit_code == 2
    assert message in result.output
    assert not service.authorizations


@pytest.mark.parametrize("text", [None, "", "a: 1", "- 1", "a: [1", "\x00"])
def test_what_is_no_compiled_pipeline_is_refused(tmp_path, service, text):
    path = tmp_path / "metrifier.yaml"
    if text is not None:
        path.write_text(text)
    result = submit(path, service)
    assert result.exit_code == 2
    assert "write it with python -m pipelines.compile" in result.output


def test_an_endpoint_without_a_scheme_is_refused(package):
    result = CliRunner().invoke(app, [str(package), "--endpoint", "kubeflow.example"])
    assert result.exit_code == 2
    assert "expected http://... or https://..." in result.output
