"""Runs that log to a tracking server which may be lost."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.runs import CHECKOUT, command, environment
from tests.helpers.tracking_servers import Door

PATIENCE = 1800  # seconds: a busy machine takes ten minutes


@dataclass(frozen=True)
class TrackedRun:
    """A run that was logged through a door, or was not.

    Attributes:
        folder: The run's.
        door: The door before its server.
        status: Exit status.
        said: What it printed.
        files: What it made, by path.
    """

    folder: Path
    door: Door
    status: int
    said: str
    files: dict[str, bytes]


@contextmanager
def started(config: Path, runs: Path, door: Door, name: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Start a run with an experiment and a registered model of its own name."""
    tracking = (f"tracking.uri={door.url}", f"tracking.experiment={name}", f"tracking.model_name={name}")
    with subprocess.Popen(
        command(runs, f"name={name}", *tracking, *options, config=config),
        cwd=CHECKOUT,
        env={**environment(), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()  # where the test has failed; it has ended otherwise


def run_through(config: Path, runs: Path, door: Door, name: str, *options: str) -> tuple[int, str]:
    """Run to the end; return the exit status and what was printed."""
    with started(config, runs, door, name, *options) as process:
        said, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, said
