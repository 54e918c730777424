"""Log calls that could not reach MLflow: queued as JSON files beside the run and replayed on its next start."""

import functools
import inspect
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec

from pydantic import validate_call
from pydantic_core import to_json

from metrifier_core.execution.progress import say
from metrifier_core.settings.credentials import without_credentials
from metrifier_core.settings.environment import UNLOGGED_VARIABLE
from metrifier_core.tracking.pipeline_run import PipelineRun

Arguments = ParamSpec("Arguments")


def offline_queue(folder: Path) -> list[Path]:
    """List the queued calls of a folder, oldest first."""
    return sorted(folder.glob("*.json"))


def _queue_folder() -> Path | None:
    folder = os.environ.get(UNLOGGED_VARIABLE)
    return Path(folder) if folder else None


def is_queueing() -> bool:
    """Return whether MLflow has failed to answer before, so that calls are queued without asking it again."""
    folder = _queue_folder()
    return folder is not None and folder.is_dir()


def queued_if_unreachable(*, needed: bool = False) -> Callable[[Callable[Arguments, None]], Callable[Arguments, None]]:
    """Decorate a function of a `run` and JSON values so that a stage survives the loss of the tracking server.

    A call that fails is queued in the folder that `UNLOGGED_VARIABLE` names, as are all later ones: the order stays,
    and only one call waits for a timeout. Without such a folder the call is dropped with a message.

    Args:
        needed: Raise the error instead of dropping the call.
    """

    def decorate(function: Callable[Arguments, None]) -> Callable[Arguments, None]:
        @functools.wraps(function)
        def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
            arguments = inspect.signature(function).bind(*args, **kwargs).arguments
            folder = _queue_folder()
            if not is_queueing():
                try:
                    function(*args, **kwargs)
                except Exception as error:
                    if folder is None and needed:
                        raise
                    consequence = "; the stage's own results are complete" if folder is None else " and is queued"
                    name = arguments.get("stage", arguments["run"].name)
                    reason = without_credentials(str(error))
                    say(f"{name} could not be logged to MLflow{consequence}. Reason: {reason}")
                else:
                    return
            if folder is not None:
                _enqueue(folder, function.__name__, arguments)

        return call

    return decorate


def _enqueue(folder: Path, function: str, arguments: Mapping[str, Any]) -> None:
    # The environment of the next start may name another run.
    pinned = {
        name: replace(value, identity=value.id) if isinstance(value, PipelineRun) else value
        for name, value in arguments.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{time.time_ns():020d}-{os.getpid()}.json"
    temporary = file.with_suffix(".partial")
    temporary.write_bytes(to_json({"function": function, "arguments": pinned}))
    temporary.replace(file)


def log_offline_queue(folder: Path, functions: list[Callable[..., None]], ask: Callable[[], None]) -> dict[Path, str]:
    """Replay the queued calls, oldest first.

    Args:
        folder: The queue; it is deleted once it is empty.
        functions: Functions whose calls may be queued.
        ask: Raises if MLflow does not answer.

    Returns:
        The calls that MLflow rejects, by file with the reason. They stay queued and do not block later ones.

    Raises:
        Exception: MLflow does not answer any more; calls that were not replayed stay queued.
    """
    ask()
    known = {function.__name__: validate_call(inspect.unwrap(function)) for function in functions}
    rejected = {}
    for file in offline_queue(folder):
        try:
            record = json.loads(file.read_bytes())
            known[record["function"]](**record["arguments"])
        except Exception as error:  # a file of another release, or an error of MLflow
            ask()
            rejected[file] = str(error) or type(error).__name__
        else:
            file.unlink()
    if not rejected:
        shutil.rmtree(folder, ignore_errors=True)
    return rejected
