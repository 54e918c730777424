"""Why a run failed: the stage itself notes it, since no Kubeflow server tells its exit handler."""

import os
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from metrifier_core.execution.progress import say
from metrifier_core.settings.credentials import without_credentials
from metrifier_core.settings.environment import UNLOGGED_VARIABLE
from metrifier_core.tracking.offline_queue import queued_if_unreachable
from metrifier_core.tracking.parents import ENGINE_RUN_VARIABLE, existing_parent, parent_run
from metrifier_core.tracking.patience import asked_briefly
from metrifier_core.tracking.pipeline_run import PipelineRun
from metrifier_core.tracking.story import MAX_DESCRIPTION_LENGTH

_FAILURE_TAG = "metrifier.failure"


def note_failure(stage: str, reason: str) -> None:
    """Notes on the run of the pipeline why a stage failed; it may be tried again, so the run goes on.

    What MLflow says of that never stands before the reason itself.

    Args:
        stage: Name of the stage.
        reason: What it raised.
    """
    unlogged = os.environ.get(UNLOGGED_VARIABLE)
    if unlogged and Path(unlogged).is_dir():
        return  # MLflow does not answer, and whoever started the run closes it with the reason in its turn
    try:
        with asked_briefly():
            client = MlflowClient()
            parent = existing_parent(client, PipelineRun())
            if parent is not None:
                _note(client, parent, f"{stage}: {reason}")
    except Exception as error:
        say(f"MLflow could not be told why {stage} failed. Reason: {without_credentials(str(error))}")


def _note(client: MlflowClient, parent: Run, reason: str) -> None:
    client.set_tag(parent.info.run_id, _FAILURE_TAG, without_credentials(reason)[:MAX_DESCRIPTION_LENGTH])


def forget_failure(client: MlflowClient, parent: Run, *stages: str) -> bool:
    """Takes back what was noted: of some stages, which succeeded when they were tried again, or of any.

    Returns:
        Whether anything was noted.
    """
    noted = parent.data.tags.get(_FAILURE_TAG)
    if noted is None or (stages and not noted.startswith(tuple(f"{stage}: " for stage in stages))):
        return False
    client.delete_tag(parent.info.run_id, _FAILURE_TAG)
    return True


def _close(client: MlflowClient, parent: Run, reason: str) -> None:
    _note(client, parent, reason)
    if not os.environ.get(ENGINE_RUN_VARIABLE):  # the engine closes the runs that it made
        client.set_terminated(parent.info.run_id, "FAILED")


@queued_if_unreachable()
def fail_run(run: PipelineRun, reason: str) -> None:
    """Closes the run of a pipeline that failed, which would else go on for ever.

    Args:
        run: The pipeline's run.
        reason: What failed and why.
    """
    client = MlflowClient()
    _close(client, parent_run(client, run), reason)


@queued_if_unreachable()
def close_unfinished(run: PipelineRun, ended: str) -> None:
    """Closes the run of a pipeline that is over as failed, unless it was completed.

    Args:
        run: The pipeline's run.
        ended: How the pipeline ended; a reason that a stage noted says more, and stays.
    """
    client = MlflowClient()
    parent = parent_run(client, run)
    if parent.info.status != "FINISHED":
        _close(client, parent, parent.data.tags.get(_FAILURE_TAG) or ended)
