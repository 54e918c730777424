"""What an earlier start of a run could not log: it is logged when MLflow can be reached again."""

import os
from pathlib import Path

from metrifier_core.execution.progress import say
from metrifier_core.settings.credentials import without_credentials
from metrifier_core.settings.environment import UNLOGGED_VARIABLE

_RETRIES_VARIABLE = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_RETRIES = "5"  # about a minute, which a server takes to start again; MLflow's own would be four


def postponing(folder: Path) -> None:
    """Has tasks put what they cannot log into a folder; see `tracking.queued_if_unreachable`."""
    os.environ[UNLOGGED_VARIABLE] = str(folder)
    os.environ.setdefault(_RETRIES_VARIABLE, _RETRIES)


def log_what_waits(folder: Path, server: str, *, told: bool = False) -> None:
    """Logs what waits in a folder, and looks whether MLflow can be reached.

    Args:
        folder: Where it waits. It is made where MLflow cannot be reached, so that no task waits for an answer.
        server: The server, as it is said.
        told: Whether it was said already that MLflow cannot be reached.
    """
    if server.startswith("sqlite:") and not folder.is_dir():
        return
    from metrifier_core.stages.register_metrifier import register_now
    from metrifier_core.tracking import (
        ask_server,
        complete_run,
        fail_run,
        log_fan_out,
        log_offline_queue,
        log_stage,
        offline_queue,
        open_run,
    )

    waiting = len(offline_queue(folder))
    try:
        refused = log_offline_queue(
            folder, [open_run, log_stage, log_fan_out, fail_run, complete_run, register_now], ask_server
        )
    except Exception as error:
        folder.mkdir(parents=True, exist_ok=True)
        if not told:
            say(
                f"MLflow at {without_credentials(server)} could not be reached; what is to be logged waits in {folder} "
                f"and is logged when the run is started again. Reason: {without_credentials(str(error))}"
            )
        return
    if waiting > len(refused):
        say(f"MLflow: logged what had waited, {waiting - len(refused)} entries")
    for file, reason in refused.items():
        why = without_credentials(reason)
        say(f"MLflow does not take {file}, which goes on waiting; delete it to give it up. Reason: {why}")
