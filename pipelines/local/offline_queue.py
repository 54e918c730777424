"""The queue of what MLflow could not be told: it is logged when the server answers again."""

import os
from pathlib import Path

from metrifier_core.execution.progress import say
from metrifier_core.settings.credentials import without_credentials
from metrifier_core.settings.environment import UNLOGGED_VARIABLE

_RETRIES_VARIABLE = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_RETRIES = "5"  # about a minute, enough for a server to restart; MLflow's default lasts four


def enable_queue(folder: Path) -> None:
    """Make tasks queue in a folder what they cannot log; see `tracking.queued_if_unreachable`."""
    os.environ[UNLOGGED_VARIABLE] = str(folder)
    os.environ.setdefault(_RETRIES_VARIABLE, _RETRIES)


def flush_queue(folder: Path, server: str, *, quiet: bool = False) -> None:
    """Log what is queued, and check that MLflow answers.

    Args:
        folder: The queue. It is created if MLflow does not answer, so that no task waits for it.
        server: The server's URI.
        quiet: Whether to omit the message that MLflow does not answer.
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

    queued = len(offline_queue(folder))
    try:
        refused = log_offline_queue(
            folder, [open_run, log_stage, log_fan_out, fail_run, complete_run, register_now], ask_server
        )
    except Exception as error:
        folder.mkdir(parents=True, exist_ok=True)
        if not quiet:
            say(
                f"MLflow at {without_credentials(server)} could not be reached; what is to be logged waits in {folder} "
                f"and is logged when the run is started again. Reason: {without_credentials(str(error))}"
            )
        return
    if queued > len(refused):
        say(f"MLflow: logged {queued - len(refused)} queued entries")
    for file, reason in refused.items():
        say(f"MLflow refuses {file}, which stays queued; delete it to drop it. Reason: {without_credentials(reason)}")
