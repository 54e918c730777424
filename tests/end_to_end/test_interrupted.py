"""A run that is killed or told to stop goes on where it was, and makes the same files."""

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from tests.helpers.runs import CHECKOUT, command, environment, lasting_files, run

pytestmark = pytest.mark.end_to_end


def _stop_when(runs: Path, said: str, by: signal.Signals, config: Path) -> tuple[int, str]:
    """Start a run, and signal it alone once a stage has said something: the kernel stops its tasks.

    Returns:
        Its exit status and what it wrote to standard error.
    """
    log = runs / config.stem / "log.txt"
    seen = len(log.read_text()) if log.exists() else 0
    with subprocess.Popen(
        command(runs, config=config),
        cwd=CHECKOUT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        deadline = time.monotonic() + 900
        while not (log.exists() and said in log.read_text()[seen:]):
            assert started.poll() is None, f"the run ended before it said '{said}'"
            assert time.monotonic() < deadline, f"the run never said '{said}'"
            time.sleep(0.05)
        started.send_signal(by)
        _, errors = started.communicate(timeout=600)
    deadline = time.monotonic() + 60
    while left := _tasks_of(runs):
        assert time.monotonic() < deadline, f"tasks outlive the run: {left}"
        time.sleep(0.05)
    return started.returncode, errors


def _tasks_of(runs: Path) -> list[psutil.Process]:
    """Find the tasks of runs: their command lines name the folders that they write to."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(runs) in " ".join(process.info["cmdline"] or []) and "--executor_input" in process.info["cmdline"]
    ]


def test_killed_at_three_stages_and_started_again_it_makes_the_same_files(colour_config, unlogged, tmp_path):
    for said in ("distort: done", "worker_evaluate: done", "train epoch 1"):
        _stop_when(tmp_path, said, signal.SIGKILL, colour_config)
    finished = run(tmp_path, config=colour_config)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    found = lasting_files(tmp_path / "colours")
    assert found.keys() == unlogged.files.keys()
    assert [name for name in found if found[name] != unlogged.files[name]] == []
    # What was finished before a kill was not done again.
    log = (tmp_path / "colours" / "log.txt").read_text()
    assert log.count("metrifier: download: done") == 1
    assert log.count("metrifier: prepare_workers: done") == 1


def test_told_to_stop_in_the_middle_of_a_loop_it_ends_with_its_tasks_and_closes_its_run(colour_config, tmp_path):
    status, errors = _stop_when(tmp_path, "distort: done", signal.SIGTERM, colour_config)
    assert status == 1
    assert errors.startswith("failed: stopped\n")
    assert "Traceback" not in errors
    assert "run the same command again: it resumes from here" in errors
    client = MlflowClient(f"sqlite:///{tmp_path / 'colours' / 'mlflow.db'}")
    (stopped,) = client.search_runs(
        [found.experiment_id for found in client.search_experiments()], "tags.`kfp.pipeline_run_id` != ''"
    )
    assert (stopped.info.status, stopped.data.tags["metrifier.failure"]) == ("FAILED", "stopped")
