"""Failures of a pipeline's run: the reason, noted by the stage itself, and the end of the run."""

import os

from mlflow import MlflowClient
from mlflow.entities import Run

from metrifier_core.execution.progress import say
from metrifier_core.settings.credentials import without_credentials
from metrifier_core.tracking.offline_queue import is_queueing, queued_if_unreachable
from metrifier_core.tracking.pipeline_run import (
    ENGINE_RUN_VARIABLE,
    PARENT_TAG,
    PipelineRun,
    existing_parent,
    parent_run,
)
from metrifier_core.tracking.story import MAX_DESCRIPTION_LENGTH
from metrifier_core.tracking.timeouts import short_timeouts

_FAILURE_TAG = "metrifier.failure"


def note_failure(stage: str, reason: str) -> None:
    """Note on the pipeline's run why a stage failed; the run stays open, since the stage may be retried.

    Kubeflow tells its exit handler no reason. Errors from MLflow never mask the original one.
    """
    if is_queueing():
        return  # `fail_run` will queue the reason
    try:
        with short_timeouts():
            client = MlflowClient()
            parent = existing_parent(client, PipelineRun())
            if parent is not None:
                _note(client, parent, f"{stage}: {reason}")
    except Exception as error:
        say(f"the failure of {stage} could not be noted in MLflow. Reason: {without_credentials(str(error))}")


def _note(client: MlflowClient, parent: Run, reason: str) -> None:
    client.set_tag(parent.info.run_id, _FAILURE_TAG, without_credentials(reason)[:MAX_DESCRIPTION_LENGTH])


def forget_failure(client: MlflowClient, parent: Run, *stages: str) -> bool:
    """Delete the noted failure if it is one of these stages', or any if none is named; return whether it was there."""
    failure = parent.data.tags.get(_FAILURE_TAG)
    if failure is None or (stages and not failure.startswith(tuple(f"{stage}: " for stage in stages))):
        return False
    client.delete_tag(parent.info.run_id, _FAILURE_TAG)
    return True


def _close(client: MlflowClient, parent: Run, reason: str) -> None:
    _note(client, parent, reason)
    if os.environ.get(ENGINE_RUN_VARIABLE):
        return  # the engine closes the runs that it created
    unfinished = f"tags.`{PARENT_TAG}` = '{parent.info.run_id}' and attributes.status = 'RUNNING'"
    for run in [*client.search_runs([parent.info.experiment_id], unfinished), parent]:
        client.set_terminated(run.info.run_id, "FAILED")


@queued_if_unreachable()
def fail_run(run: PipelineRun, reason: str) -> None:
    """Close the run of a pipeline, and its stages that are still open, as failed for a reason."""
    client = MlflowClient()
    _close(client, parent_run(client, run), reason)


@queued_if_unreachable()
def close_unfinished(run: PipelineRun, ended: str) -> None:
    """Close the run of a pipeline that is over as failed, unless it was completed.

    The tag of the failure says how it `ended`, unless a stage has noted a reason.
    """
    client = MlflowClient()
    parent = parent_run(client, run)
    if parent.info.status != "FINISHED":
        _close(client, parent, parent.data.tags.get(_FAILURE_TAG) or ended)
