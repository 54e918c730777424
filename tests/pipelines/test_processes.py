"""A task, and all that it has started, ends with the run, whatever ends that."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from kfp.local import subprocess_task_handler as kfps

from pipelines.local.processes import Processes
from tests.helpers.runs import CHECKOUT

RUN = """
import sys
from kfp.local import subprocess_task_handler as kfps
from pipelines.local.processes import Processes
from pipelines.local.runner import _stopped_by_signals

place = Processes("listing")
with place.used(), _stopped_by_signals(place):
    for task in sys.argv[1:]:
        status = kfps.run_local_subprocess(full_command=["sh", "-c", task], env_vars={"VALUE": "7"})
sys.exit(status)
"""


def start(*tasks):
    command = [sys.executable, "-u", "-c", RUN, *tasks]
    return subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def processes_of(task):
    """Return the leader of the process group that a task is."""
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == task and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        except ProcessLookupError:
            continue
    return found


def wait_for_the_end_of(task):
    for _ in range(600):
        if not processes_of(task):
            return
        time.sleep(0.1)
    pytest.fail(f"still there: {processes_of(task)}")


def test_a_task_is_heard_and_its_status_is_told_and_nothing_is_left():
    with start("echo $VALUE; echo wrong >&2; echo $PPID; exit 3") as run:
        heard, _ = run.communicate(timeout=600)
    value, wrong, task = heard.split()
    assert (value, wrong, run.returncode) == ("7", "wrong", 3)
    wait_for_the_end_of(int(task))


@pytest.mark.parametrize("stopped_by", [signal.SIGTERM, signal.SIGKILL])
def test_tasks_end_with_a_run_that_is_stopped(stopped_by):
    with start("echo $PPID; sleep 300 & wait", "echo another") as run:
        task = int(run.stdout.readline())
        assert len(processes_of(task)) > 1
        run.send_signal(stopped_by)
        heard, _ = run.communicate(timeout=600)
    assert run.returncode
    assert heard == ""
    wait_for_the_end_of(task)


def test_what_is_started_after_the_stop_ends_at_once():
    """KFP goes on with the other branches of a loop."""
    place = Processes("listing")
    place.stop()
    with place.used():
        assert kfps.run_local_subprocess(full_command=["sleep", "300"]) == -signal.SIGKILL
