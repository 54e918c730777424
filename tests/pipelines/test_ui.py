"""`make ui` says where the runs are looked at, and serves them there."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
import requests

PATIENCE = 600  # seconds: a busy machine is no failure


def start(*arguments):
    command = [sys.executable, "-m", "pipelines.ui", *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    return subprocess.Popen(command, start_new_session=True, **streams)


def answer(url, port):
    """Asks until somebody answers."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return requests.get(url, timeout=PATIENCE)
        except requests.ConnectionError:
            assert time.monotonic() < end, f"nobody listens on {port}"
            time.sleep(0.5)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Provide what a pipeline run leaves in its folder for MLflow."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    for name in ("MLFLOW_RUN_ID", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"):
        monkeypatch.delenv(name, raising=False)
    from metrifier_core.tracking import PipelineRun, log_stage

    log_stage(PipelineRun("digits", "quality"), "distort", {}, {"started_at": 1.0, "finished_at": 2.0})
    return tmp_path


def test_the_link_that_is_printed_leads_to_the_runs_of_whole_pipelines(folder):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serving = start(str(folder), "--port", str(port))
    try:
        said = serving.stdout.readline()
        found = re.fullmatch(
            rf"MLflow: (http://127\.0\.0\.1:{port})/#/experiments/(\d+)/runs\?searchFilter=\S+\n", said
        )
        assert found, said
        server, experiment = found.groups()
        assert "<title>MLflow</title>" in answer(server, port).text
        named = requests.get(
            f"{server}/ajax-api/2.0/mlflow/experiments/get", {"experiment_id": experiment}, timeout=PATIENCE
        )
        assert named.json()["experiment"]["name"] == "quality"
        started = [" ".join(child.cmdline()) for child in psutil.Process(serving.pid).children(recursive=True)]
        assert not [command for command in started if "mlflow.server.jobs" in command], "nothing here is a job"
    finally:
        os.killpg(serving.pid, signal.SIGTERM)
        serving.communicate(timeout=PATIENCE)


def refuse(*arguments, **environment):
    command = [sys.executable, "-m", "pipelines.ui", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


@pytest.mark.parametrize("named", ["by an option", "by the environment, as make ui PORT= does"])
def test_a_port_that_another_has_is_refused_before_a_link_leads_there(folder, named):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = refuse(str(folder), "--port", port) if "option" in named else refuse(str(folder), PORT=port)
    assert said.startswith(f"port {port} cannot be used (")
    assert "name another with --port NUMBER, or make ui PORT=NUMBER" in said
    assert said.count("\n") == 1


def test_any_free_port_can_be_asked_for(folder):
    serving = start(str(folder), "--port", "0")
    try:
        said = serving.stdout.readline()
        port = re.match(r"MLflow: http://127\.0\.0\.1:(\d+)/", said).group(1)
        assert port != "0"
    finally:
        os.killpg(serving.pid, signal.SIGTERM)
        serving.communicate(timeout=PATIENCE)


def test_a_folder_without_runs_is_refused(tmp_path):
    assert refuse(str(tmp_path)) == (
        f"there is no {tmp_path / 'mlflow.db'}: make run fills runs/digits, or name a run with make ui RUN=runs/NAME\n"
    )


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("http://mlflow.example:5000", "was logged to an MLflow server, look there: http://mlflow.example:5000"),
        (
            "sqlite:////a/b.db",
            "was logged to another database: .venv/bin/mlflow ui --backend-store-uri sqlite:////a/b.db",
        ),
    ],
)
def test_of_a_run_that_was_logged_elsewhere_it_is_said_where(tmp_path, server, expected):
    from pipelines.tracking_server import SERVER_FILE

    (tmp_path / SERVER_FILE).write_text(f"{server}\n")
    assert refuse(str(tmp_path)) == f"{tmp_path} {expected}\n"
