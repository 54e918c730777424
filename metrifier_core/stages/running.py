"""What all stages share: messages, timing, and the folder that a killed stage resumes from."""

import functools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ParamSpec, Self

from pydantic import BaseModel

from metrifier_core.execution.progress import say
from metrifier_core.settings.environment import FAILURES_VARIABLE, PARTIAL_VARIABLE, RUN_ID_VARIABLE

Summary = dict[str, Any]
"""What a stage counted: numbers and short texts, kept as the metadata of its artifact or beside its tables."""

Arguments = ParamSpec("Arguments")


def stage(function: Callable[Arguments, Summary]) -> Callable[Arguments, Summary]:
    """Make a function a stage: report how it ends, and add `started_at` and `finished_at` (Unix time)."""

    @functools.wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Summary:
        started = time.time()
        try:
            summary = function(*args, **kwargs)
        except Exception as error:
            _report_failure(function.__name__, str(error) or type(error).__name__)
            raise
        finished = time.time()
        counts = ", ".join(f"{key} {value}" for key, value in summary.items() if isinstance(value, int | str))
        say(f"{function.__name__}: done in {finished - started:.1f} s ({counts})")
        return {**summary, "started_at": started, "finished_at": finished}

    return run


def _report_failure(name: str, reason: str) -> None:
    """Print why a stage failed, and note it for the runner on this machine and, in a pipeline, in MLflow."""
    say(f"{name}: failed: {reason}")
    folder = os.environ.get(FAILURES_VARIABLE)
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with Path(folder, name).open("a", encoding="utf-8") as file:  # tasks of several shards may fail
            file.write(" ".join(reason.split()) + "\n")
    if os.environ.get("MLFLOW_TRACKING_URI") and {RUN_ID_VARIABLE, "MLFLOW_RUN_ID"} & set(os.environ):
        with suppress(ImportError):
            from metrifier_core.tracking import note_failure

            note_failure(name, reason)


@contextmanager
def partial_folder(output: Path, name: str, identity: str, *, kept: str | None = None) -> Iterator[Path]:
    """Provide a folder to fill piece by piece, which becomes the output when the stage is through.

    Args:
        output: Where the finished folder goes.
        name: The stage's name.
        identity: Fingerprint of what the stage makes; a killed stage of the same identity is resumed.
        kept: A file that is not part of the output. It stays where the next attempt looks for it: a stage may be killed
            when it is through, before the pipeline has noted that.

    Yields:
        The folder, with the pieces that an earlier, killed attempt finished.
    """
    home = os.environ.get(PARTIAL_VARIABLE)
    folder = output.with_name(f"{output.name}.partial") if home is None else Path(home) / f"{name}-{identity[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    for leftover in folder.glob("*.partial"):
        leftover.unlink()
    output.parent.mkdir(parents=True, exist_ok=True)
    # A task that is retried in the same place may find what its first try finished.
    shutil.rmtree(output, ignore_errors=True)
    shutil.move(folder, output)
    if kept is not None and home is not None:
        folder.mkdir()
        shutil.move(output / kept, folder / kept)
    elif kept is not None:
        (output / kept).unlink()


class ShardSummary(BaseModel):
    """The summaries of a shard's tasks, kept beside the shard's tables.

    An engine passes the metadata of all artifacts to a task on one command line, which Linux limits to 128 KiB: too
    little for every shard's.

    Attributes:
        distort: Summary of the task that made the versions.
        versions: URI of the versions.
        worker_evaluate: Summaries of the tasks that ran the workers.
    """

    distort: Summary
    versions: str = ""
    worker_evaluate: list[Summary] = []

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the summaries from a shard's folder."""
        return cls.model_validate_json((folder / "shard.json").read_text())

    def write(self, folder: Path) -> None:
        """Write the summaries to a shard's folder."""
        (folder / "shard.json").write_text(self.model_dump_json() + "\n")
