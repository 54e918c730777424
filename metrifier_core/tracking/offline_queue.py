"""What MLflow could not be told: on this machine it waits beside the run, and is told when the run is started again."""

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
    """Lists what waits in a folder, in the order in which it happened."""
    return sorted(folder.glob("*.json"))


def queued_if_unreachable(*, needed: bool = False) -> Callable[[Callable[Arguments, None]], Callable[Arguments, None]]:
    """Lets a stage's work stand when the tracking server does not.

    What the function would have logged waits in the folder that `UNLOGGED_VARIABLE` names, and so does everything after
    it, so that the order stays and one wait for an answer is enough. Without such a folder it is said that it is lost.

    Args:
        needed: Whether the function must not be given up: without a folder its error is raised.

    Returns:
        A decorator of functions of a `run` and of what JSON can hold.
    """

    def decorate(function: Callable[Arguments, None]) -> Callable[Arguments, None]:
        @functools.wraps(function)
        def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
            arguments = inspect.signature(function).bind(*args, **kwargs).arguments
            named = os.environ.get(UNLOGGED_VARIABLE)
            folder = Path(named) if named else None
            waiting = folder is not None and folder.is_dir()
            if not waiting:
                try:
                    function(*args, **kwargs)
                except Exception as error:
                    if folder is None and needed:
                        raise
                    says = "; the stage's own results are complete" if folder is None else ", nor will what follows"
                    what = arguments.get("stage", arguments["run"].name)
                    say(f"{what} could not be logged to MLflow{says}. Reason: {without_credentials(str(error))}")
                else:
                    return
            if folder is not None:
                _keep(folder, function.__name__, arguments)

        return run

    return decorate


def _keep(folder: Path, function: str, arguments: Mapping[str, Any]) -> None:
    # Told on the next start, when the environment names that one.
    kept = {
        name: replace(value, identity=value.id) if isinstance(value, PipelineRun) else value
        for name, value in arguments.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{time.time_ns():020d}-{os.getpid()}.json"
    temporary = file.with_suffix(".partial")
    temporary.write_bytes(to_json({"function": function, "arguments": kept}))
    temporary.replace(file)


def log_offline_queue(folder: Path, functions: list[Callable[..., None]], ask: Callable[[], None]) -> dict[Path, str]:
    """Tells MLflow what waits, in the order in which it happened.

    Args:
        folder: Where it waits; it is gone when nothing does any more.
        functions: Those whose records may wait.
        ask: Raises where MLflow does not answer.

    Returns:
        Which of it MLflow answers and does not take, by file with the reason; it goes on waiting, and does not hold up
        what comes after it.

    Raises:
        Exception: MLflow does not answer any more; what was not told it goes on waiting.
    """
    ask()
    known = {function.__name__: validate_call(inspect.unwrap(function)) for function in functions}
    refused = {}
    for file in offline_queue(folder):
        try:
            record = json.loads(file.read_bytes())
            known[record["function"]](**record["arguments"])
        except Exception as error:  # an entry of another release, or whatever MLflow says
            ask()
            refused[file] = str(error) or type(error).__name__
        else:
            file.unlink()
    if not refused:
        shutil.rmtree(folder, ignore_errors=True)
    return refused
