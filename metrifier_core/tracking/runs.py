"""Runs in MLflow: one a pipeline run, a nested one a stage."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from metrifier_core._version import __version__
from metrifier_core.credentials import without_credentials
from metrifier_core.progress import say
from metrifier_core.tracking.pipeline_run import PipelineRun
from metrifier_core.tracking.postponed import postponed_if_unreachable
from metrifier_core.tracking.system_metrics import SystemSample, system_metrics

__all__ = [
    "LONGEST_DESCRIPTION",
    "active_run",
    "ask_server",
    "complete_run",
    "fail_run",
    "find_run",
    "log_fan_out",
    "log_stage",
    "log_to",
    "open_run",
    "parent_run",
]

LONGEST_DESCRIPTION = 5000
"""Of a run's or a model version's text, in characters."""

_ENGINE_RUN_VARIABLE = "MLFLOW_RUN_ID"  # set where the pipeline engine has made a run for the task itself
_PIPELINE_RUN_TAG = "kfp.pipeline_run_id"
_STAGE_TAG = "metrifier.stage"
_FAILURE_TAG = "metrifier.failure"
_DEFAULT_EXPERIMENT = "metrifier"
_FAMILY_TAG = "metrifier.held_out_family"
_LONGEST_VALUE = 6000  # of a parameter, in characters


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Turns nested settings into dotted names and short texts."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)[:_LONGEST_VALUE]
    return flat


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


def parent_run(client: MlflowClient, run: PipelineRun) -> Run:
    """Finds or makes the run of the whole pipeline."""
    given = os.environ.get(_ENGINE_RUN_VARIABLE)
    if given:
        # The pipeline engine tracks too: this task's run is there already, below the pipeline's.
        own = client.get_run(given)
        return client.get_run(own.data.tags.get(MLFLOW_PARENT_RUN_ID, given))
    experiments = [_experiment_id(client, run.experiment)] if run.experiment else None
    if found := _search(client, run.id, experiments):
        return found
    experiment = _experiment_id(client, run.experiment or _DEFAULT_EXPERIMENT)
    tags = {_PIPELINE_RUN_TAG: run.id, MLFLOW_RUN_NAME: run.name, "metrifier.version": __version__}
    return client.create_run(experiment, tags=tags)


def _stage_run(client: MlflowClient, run: PipelineRun, stage: str, started_at: float) -> Run:
    """Finds the engine's run of this task, or makes a nested one."""
    given = os.environ.get(_ENGINE_RUN_VARIABLE)
    if given:
        return client.get_run(given)
    parent = parent_run(client, run)
    shown = f"{stage} without {run.held_out_family}" if run.held_out_family else stage
    tags = {MLFLOW_PARENT_RUN_ID: parent.info.run_id, MLFLOW_RUN_NAME: shown, _STAGE_TAG: stage}
    if run.held_out_family:
        tags[_FAMILY_TAG] = run.held_out_family
    return client.create_run(parent.info.experiment_id, start_time=int(started_at * 1000), tags=tags)


def log_to(
    client: MlflowClient,
    run: Run,
    parameters: Mapping[str, Any],
    summary: Mapping[str, Any],
    curves: Sequence[Mapping[str, float]],
) -> None:
    """Logs what is new: a parameter of a name that the run has already stays as it is."""
    now = int(time.time() * 1000)
    params = [Param(key, value) for key, value in _flatten(parameters).items() if key not in run.data.params]
    metrics = [
        Metric(key, float(value), now, 0)
        for key, value in summary.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    metrics += [
        Metric(key, float(value), now, int(point["epoch"]))
        for point in curves
        for key, value in point.items()
        if key != "epoch"
    ]
    tags = [RunTag(key, str(value)) for key, value in summary.items() if isinstance(value, str | bool)]
    client.log_batch(run.info.run_id, metrics, params, tags)


@postponed_if_unreachable()
def log_stage(
    run: PipelineRun,
    stage: str,
    parameters: Mapping[str, Any],
    summary: Mapping[str, Any],
    curves: Sequence[Mapping[str, float]] = (),
    documents: Mapping[str, Mapping[str, Any]] | None = None,
    samples: Sequence[SystemSample] = (),
) -> None:
    """Logs a finished stage as a nested run that lasts as long as the stage did.

    Args:
        run: The pipeline's run.
        stage: Name of the stage.
        parameters: Its settings; nested ones get dotted names.
        summary: What it returned: numbers become metrics, texts become tags.
        curves: A mapping an epoch, with the key `epoch`; the others become metrics.
        documents: JSON documents to keep with the run, by their file name.
        samples: How busy the machine was.
    """
    _log_stage(run, stage, parameters, summary, curves, documents or {}, samples)


def _log_stage(
    run: PipelineRun,
    stage: str,
    parameters: Mapping[str, Any],
    summary: Mapping[str, Any],
    curves: Sequence[Mapping[str, float]],
    documents: Mapping[str, Mapping[str, Any]],
    samples: Sequence[SystemSample],
) -> None:
    client = MlflowClient()
    own = _stage_run(client, run, stage, summary["started_at"])
    times = ("started_at", "finished_at")
    counted = {key: value for key, value in summary.items() if key not in times}
    counted["seconds"] = summary.get("seconds", summary["finished_at"] - summary["started_at"])
    log_to(client, own, parameters, counted, curves)
    client.log_batch(own.info.run_id, system_metrics(samples))
    for name, document in documents.items():
        client.log_dict(own.info.run_id, dict(document), name)
    if not os.environ.get(_ENGINE_RUN_VARIABLE):
        client.set_terminated(own.info.run_id, end_time=int(summary["finished_at"] * 1000))


def _is_logged(run: PipelineRun, stage: str) -> bool:
    """Says whether a stage has a nested run already."""
    client = MlflowClient()
    parent = parent_run(client, run)
    own = f"tags.`{_STAGE_TAG}` = '{stage}' and tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent.info.run_id}'"
    return bool(client.search_runs([parent.info.experiment_id], own, max_results=1))


@postponed_if_unreachable()
def log_fan_out(
    run: PipelineRun, stage: str, parameters: Mapping[str, Any], summaries: Sequence[Mapping[str, Any]]
) -> None:
    """Logs a stage that ran once a shard as one nested run: counts and seconds added up.

    Args:
        run: The pipeline's run.
        stage: Name of the stage.
        parameters: Its settings.
        summaries: What each of its tasks returned.
    """
    if os.environ.get(_ENGINE_RUN_VARIABLE):
        return  # the engine has a run for each of these tasks
    if run.held_out_family:
        # All folds begin with the same shards.
        run = replace(run, held_out_family="")
        if _is_logged(run, stage):
            return
    _log_stage(
        run,
        stage,
        parameters,
        {
            "tasks": len(summaries),
            "versions": sum(summary["versions"] for summary in summaries),
            "seconds": sum(summary["finished_at"] - summary["started_at"] for summary in summaries),
            "started_at": min(summary["started_at"] for summary in summaries),
            "finished_at": max(summary["finished_at"] for summary in summaries),
        },
        (),
        {},
        (),
    )


@contextmanager
def active_run(client: MlflowClient, run: Run) -> Iterator[None]:
    """Makes a run the active one and ends it, unless it is the pipeline engine's, which ends its own."""
    given = os.environ.get(_ENGINE_RUN_VARIABLE)
    with mlflow.start_run(run.info.run_id):
        yield
    if given:
        os.environ[_ENGINE_RUN_VARIABLE] = given  # MLflow takes it away when a run starts
        client.update_run(run.info.run_id, status="RUNNING")


def ask_server() -> None:
    """Asks the server for something that it always has.

    Raises:
        MlflowException: It does not answer.
    """
    MlflowClient().search_experiments(max_results=1)


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


@postponed_if_unreachable()
def open_run(run: PipelineRun) -> None:
    """Makes the run of a pipeline, which its stages then find by its identity; one that failed goes on."""
    client = MlflowClient()
    parent = parent_run(client, run)
    if _FAILURE_TAG in parent.data.tags:
        client.delete_tag(parent.info.run_id, _FAILURE_TAG)
        client.update_run(parent.info.run_id, status="RUNNING")


@postponed_if_unreachable()
def fail_run(run: PipelineRun, reason: str) -> None:
    """Closes the run of a pipeline that failed, which would else go on for ever.

    Args:
        run: The pipeline's run.
        reason: What failed and why.
    """
    if os.environ.get(_ENGINE_RUN_VARIABLE):
        return  # the engine closes the runs that it made
    client = MlflowClient()
    parent = parent_run(client, run)
    client.set_tag(parent.info.run_id, _FAILURE_TAG, reason[:LONGEST_DESCRIPTION])
    client.set_terminated(parent.info.run_id, "FAILED")


@postponed_if_unreachable()
def complete_run(
    run: PipelineRun,
    config: Mapping[str, Any],
    summary: Mapping[str, Any],
    documents: Mapping[str, Path],
    description: Path,
) -> None:
    """Completes the run of a pipeline that registers nothing.

    Args:
        run: The pipeline's run.
        config: The whole config.
        summary: The headline: numbers become metrics.
        documents: Text files to keep with the run, by the name to show.
        description: What the run amounts to, as Markdown.
    """
    client = MlflowClient()
    parent = parent_run(client, run)
    times = ("started_at", "finished_at")
    log_to(client, parent, config, {key: value for key, value in summary.items() if key not in times}, ())
    with active_run(client, parent):
        for name, path in documents.items():
            mlflow.log_text(path.read_text(encoding="utf-8"), name)
    note = description.read_text(encoding="utf-8")[:LONGEST_DESCRIPTION]
    client.set_tag(parent.info.run_id, MLFLOW_RUN_NOTE, note)
