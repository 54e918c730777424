"""`make ui` says where the runs are looked at, and serves them there."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
import requests

PATIENCE = 120  # seconds


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
    """What a pipeline run leaves in its folder for MLflow."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
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
    finally:
        os.killpg(serving.pid, signal.SIGTERM)
        serving.communicate(timeout=PATIENCE)


def test_a_folder_without_runs_is_refused(tmp_path):
    command = [sys.executable, "-m", "pipelines.ui", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"there is no {tmp_path / 'mlflow.db'}: make run fills runs/digits, or name a run with make ui RUN=runs/NAME\n"
    )
