"""The run of a whole pipeline, found by its identity or made."""

import os
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from metrifier_core._version import __version__
from metrifier_core.execution.progress import say
from metrifier_core.settings.credentials import without_credentials
from metrifier_core.tracking.pipeline_run import PipelineRun

ENGINE_RUN_VARIABLE = "MLFLOW_RUN_ID"
"""Set where the pipeline engine has made a run for the task itself."""

_PIPELINE_RUN_TAG = "kfp.pipeline_run_id"
_DEFAULT_EXPERIMENT = "metrifier"


def _experiment_id(client: MlflowClient, name: str) -> str:
    """Finds or makes the experiment; a local database keeps its artifacts beside it."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    uri = mlflow.get_tracking_uri()
    local = uri.startswith("sqlite:///")
    location = (Path(uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts").as_uri() if local else None
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException:
        # Another stage was faster.
        return str(client.get_experiment_by_name(name).experiment_id)


def _search(client: MlflowClient, identity: str, experiments: list[str] | None) -> Run | None:
    """Finds the run of a pipeline in some experiments, in all where None."""
    if experiments is None:
        experiments = [experiment.experiment_id for experiment in mlflow.search_experiments()]  # page by page
    found = client.search_runs(experiments, f"tags.`{_PIPELINE_RUN_TAG}` = '{identity}'", max_results=1)
    return found[0] if found else None


def _engines(client: MlflowClient) -> Run | None:
    """Finds the pipeline's run where the pipeline engine tracks too: this task's is there already, below it."""
    given = os.environ.get(ENGINE_RUN_VARIABLE)
    if not given:
        return None
    own = client.get_run(given)
    return client.get_run(own.data.tags.get(MLFLOW_PARENT_RUN_ID, given))


def existing_parent(client: MlflowClient, run: PipelineRun) -> Run | None:
    """Finds the run of the whole pipeline; None where nobody has made it."""
    return _engines(client) or _search(client, run.id, None)


def parent_run(client: MlflowClient, run: PipelineRun) -> Run:
    """Finds or makes the run of the whole pipeline."""
    if found := _engines(client):
        return found
    experiments = [_experiment_id(client, run.experiment)] if run.experiment else None
    if found := _search(client, run.id, experiments):
        return found
    experiment = _experiment_id(client, run.experiment or _DEFAULT_EXPERIMENT)
    tags = {_PIPELINE_RUN_TAG: run.id, MLFLOW_RUN_NAME: run.name, "metrifier.version": __version__}
    return client.create_run(experiment, tags=tags)


def find_run(identity: str) -> Run | None:
    """Finds the run of a pipeline by the identity that the pipeline engine gave it.

    Returns:
        MLflow's run; None where there is none, or where the server cannot be asked.
    """
    try:
        return _search(MlflowClient(), identity, None)
    except MlflowException as error:
        say(f"MLflow cannot be asked for the run {identity}: {without_credentials(str(error))}")
        return None
