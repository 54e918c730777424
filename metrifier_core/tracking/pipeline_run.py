"""The MLflow run of a whole pipeline: found by its identity or created."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from metrifier_core._version import __version__
from metrifier_core.execution.progress import say
from metrifier_core.settings.credentials import without_credentials
from metrifier_core.settings.environment import RUN_ID_VARIABLE

ENGINE_RUN_VARIABLE = "MLFLOW_RUN_ID"
"""Set where the pipeline engine has created a run for the task."""

PARENT_TAG = "mlflow.parentRunId"
"""MLflow's tag that nests a run below another."""

NOTE_TAG = "mlflow.note.content"
"""MLflow's tag for the description of a run, as Markdown."""

_PIPELINE_RUN_TAG = "kfp.pipeline_run_id"
_DEFAULT_EXPERIMENT = "metrifier"
# Runs of stages lack this tag: the filter leaves the runs of whole pipelines.
_WHOLE_PIPELINES = "tags.`metrifier.version` LIKE '%'"


@dataclass(frozen=True)
class PipelineRun:
    """The pipeline run that a stage belongs to.

    The code that opens a run knows its name. A stage knows its identity only: names would change its cache key.

    Attributes:
        name: Name to show in the UI if the run has to be created.
        experiment: MLflow experiment of the run; None for the one in which it was opened.
        held_out_family: Name of the fold that the stage belongs to, in a run that holds out every worker family once.
        identity: Overrides the environment's `id`, for calls that are replayed in another environment.
    """

    name: str = "metrifier"
    experiment: str | None = None
    held_out_family: str = ""
    identity: str = ""

    @property
    def id(self) -> str:
        """Identity of the run over all stages and restarts."""
        return self.identity or os.environ.get(RUN_ID_VARIABLE, self.name)


def _experiment_id(client: MlflowClient, name: str) -> str:
    """Find or create an experiment; a local database keeps its artifacts in the folder beside it."""
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    uri = mlflow.get_tracking_uri()
    local = uri.startswith("sqlite:///")
    location = (Path(uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts").as_uri() if local else None
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException:  # another stage has created it meanwhile
        return str(client.get_experiment_by_name(name).experiment_id)


def _all_experiments() -> list[str]:
    return [experiment.experiment_id for experiment in mlflow.search_experiments()]


def _search(client: MlflowClient, identity: str, experiments: list[str]) -> Run | None:
    runs = client.search_runs(experiments, f"tags.`{_PIPELINE_RUN_TAG}` = '{identity}'", max_results=1)
    return runs[0] if runs else None


def _engine_parent(client: MlflowClient) -> Run | None:
    """Find the pipeline's run above the task's run that the pipeline engine has created."""
    task_run_id = os.environ.get(ENGINE_RUN_VARIABLE)
    if not task_run_id:
        return None
    return client.get_run(client.get_run(task_run_id).data.tags.get(PARENT_TAG, task_run_id))


def existing_parent(client: MlflowClient, run: PipelineRun) -> Run | None:
    """Find the run of the whole pipeline; None if nobody has created it."""
    return _engine_parent(client) or _search(client, run.id, _all_experiments())


def parent_run(client: MlflowClient, run: PipelineRun) -> Run:
    """Find or create the run of the whole pipeline."""
    if parent := _engine_parent(client):
        return parent
    experiments = [_experiment_id(client, run.experiment)] if run.experiment else _all_experiments()
    if parent := _search(client, run.id, experiments):
        return parent
    experiment = _experiment_id(client, run.experiment or _DEFAULT_EXPERIMENT)
    tags = {_PIPELINE_RUN_TAG: run.id, "metrifier.version": __version__}
    return client.create_run(experiment, tags=tags, run_name=run.name)


def find_run(identity: str) -> Run | None:
    """Find the run of a pipeline by the identity that the engine gave it; None if it, or the server, is not there."""
    try:
        return _search(MlflowClient(), identity, _all_experiments())
    except MlflowException as error:
        say(f"MLflow could not be asked for the run {identity}. Reason: {without_credentials(str(error))}")
        return None


def runs_page() -> str | None:
    """Return the path of the UI's page with all pipeline runs of the newest one's experiment; None if there is none."""
    newest = MlflowClient().search_runs(
        _all_experiments(), _WHOLE_PIPELINES, max_results=1, order_by=["attributes.start_time DESC"]
    )
    if not newest:
        return None
    return f"/#/experiments/{newest[0].info.experiment_id}/runs?searchFilter={quote(_WHOLE_PIPELINES)}"
