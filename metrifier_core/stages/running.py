"""What all stages share: they say what they do, they are timed, and a killed one goes on where it was."""

import functools
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ParamSpec

from metrifier_core.execution.progress import FAILED, say
from metrifier_core.settings.environment import PARTIAL_VARIABLE, RUN_ID_VARIABLE

Summary = dict[str, Any]
"""What a stage counted: numbers and short texts, kept as the metadata of its artifact or beside what it made."""

# An engine hands a task the metadata of all its artifacts on one command line, which Linux limits to 128 KiB: those
# that there is one of in every shard have none, and this file.
_SHARD_FILE = "shard.json"

Arguments = ParamSpec("Arguments")


def stage(function: Callable[Arguments, Summary]) -> Callable[Arguments, Summary]:
    """Makes a function a stage: says how it ended, or why not, and adds `started_at` and `finished_at` (Unix time)."""

    @functools.wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Summary:
        started = time.time()
        try:
            summary = function(*args, **kwargs)
        except Exception as error:
            say(f"{function.__name__}{FAILED}{error}")
            _note_failure(function.__name__, error)
            raise
        finished = time.time()
        counts = ", ".join(f"{key} {value}" for key, value in summary.items() if isinstance(value, int | str))
        say(f"{function.__name__}: done in {finished - started:.1f} s ({counts})")
        return {**summary, "started_at": started, "finished_at": finished}

    return run


def _note_failure(name: str, error: Exception) -> None:
    """Has a task of a pipeline tell MLflow why it fails, which the end of the pipeline is not told."""
    if not (os.environ.get("MLFLOW_TRACKING_URI") and {RUN_ID_VARIABLE, "MLFLOW_RUN_ID"} & set(os.environ)):
        return
    with suppress(ImportError):
        from metrifier_core.tracking import note_failure

        note_failure(name, str(error) or type(error).__name__)


@contextmanager
def partial_folder(output: Path, name: str, identity: str, *, kept: str | None = None) -> Iterator[Path]:
    """Gives a stage a folder to fill piece by piece; it becomes the output when the stage is through.

    Args:
        output: Where the finished folder goes.
        name: The stage's name.
        identity: Fingerprint of what the stage makes; a killed stage of the same identity is continued.
        kept: A file that is no part of the output. It stays where a next attempt looks for it: a stage may be killed
            when it is through, and before the pipeline has noted that.

    Yields:
        The folder, with the pieces that an earlier, killed attempt had finished.
    """
    home = os.environ.get(PARTIAL_VARIABLE)
    folder = output.with_name(f"{output.name}.partial") if home is None else Path(home) / f"{name}-{identity[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    for leftover in folder.glob("*.partial"):
        leftover.unlink()
    output.parent.mkdir(parents=True, exist_ok=True)
    # A task that is tried again in the same place may find what its first try had finished.
    shutil.rmtree(output, ignore_errors=True)
    shutil.move(folder, output)
    if kept is not None and home is not None:
        folder.mkdir()
        shutil.move(output / kept, folder / kept)
    elif kept is not None:
        (output / kept).unlink()


def read_shard_file(folder: Path) -> dict[str, Any]:
    """Reads what the tasks of a shard counted."""
    found: dict[str, Any] = json.loads((folder / _SHARD_FILE).read_text())
    return found


def write_shard_file(folder: Path, counted: Mapping[str, Any]) -> None:
    """Writes what the tasks of a shard counted."""
    (folder / _SHARD_FILE).write_text(json.dumps(counted) + "\n")
