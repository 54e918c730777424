"""Runs in MLflow: one a pipeline run, a nested one a stage."""

import json
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
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from metrifier_core.tracking.data import log_data
from metrifier_core.tracking.failures import forget_failure
from metrifier_core.tracking.offline_queue import queued_if_unreachable
from metrifier_core.tracking.parents import ENGINE_RUN_VARIABLE, parent_run
from metrifier_core.tracking.patience import asked_briefly
from metrifier_core.tracking.pipeline_run import PipelineRun
from metrifier_core.tracking.story import MAX_DESCRIPTION_LENGTH, engine_page, story_of_families
from metrifier_core.tracking.system_metrics import SystemSample, system_metrics

_STAGE_TAG = "metrifier.stage"
_FAMILY_TAG = "metrifier.held_out_family"
_MAX_VALUE_LENGTH = 6000  # of a parameter, in characters
_TIMES = ("started_at", "finished_at")
_BEFORE = {"worker_evaluate": ("join_losses",)}  # what logs nothing itself, and is through when the other is logged


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Turns nested settings into dotted names and short texts."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)[:_MAX_VALUE_LENGTH]
    return flat


def _stage_run(client: MlflowClient, run: PipelineRun, parent: Run, stage: str, started_at: float) -> Run:
    """Finds the engine's run of this task, or a nested one that logging this had begun, or makes it."""
    given = os.environ.get(ENGINE_RUN_VARIABLE)
    if given:
        return client.get_run(given)
    started = int(started_at * 1000)
    # Where the server was lost in the middle, all of it is logged anew: by its time the attempt is known again.
    known = (
        f"tags.`{_STAGE_TAG}` = '{stage}' and tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent.info.run_id}' "
        f"and attributes.start_time = {started}"
    )
    for begun in client.search_runs([parent.info.experiment_id], known):
        if begun.data.tags.get(_FAMILY_TAG, "") == run.held_out_family:
            return begun
    shown = f"{stage} without {run.held_out_family}" if run.held_out_family else stage
    tags = {MLFLOW_PARENT_RUN_ID: parent.info.run_id, MLFLOW_RUN_NAME: shown, _STAGE_TAG: stage}
    if run.held_out_family:
        tags[_FAMILY_TAG] = run.held_out_family
    return client.create_run(parent.info.experiment_id, start_time=started, tags=tags)


def log_to(
    client: MlflowClient,
    run: Run,
    parameters: Mapping[str, Any],
    summary: Mapping[str, Any],
    curves: Sequence[Mapping[str, float]],
    found_at: float | None = None,
) -> None:
    """Logs what is new: a parameter of a name that the run has already stays as it is.

    A metric that was found at the same Unix time is the same, and stands there once; where None, it is found now.
    """
    at = int((time.time() if found_at is None else found_at) * 1000)
    params = [Param(key, value) for key, value in _flatten(parameters).items() if key not in run.data.params]
    metrics = [
        Metric(key, float(value), at, 0)
        for key, value in summary.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    metrics += [
        Metric(key, float(value), at, int(point["epoch"]))
        for point in curves
        for key, value in point.items()
        if key != "epoch"
    ]
    tags = [RunTag(key, str(value)) for key, value in summary.items() if isinstance(value, str | bool)]
    client.log_batch(run.info.run_id, metrics, params, tags)


@queued_if_unreachable()
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
    parent = parent_run(client, run)
    own = _stage_run(client, run, parent, stage, summary["started_at"])
    engines = bool(os.environ.get(ENGINE_RUN_VARIABLE))
    if own.info.status == "FINISHED" and not engines:
        return  # all but the answer had arrived, or another fold has logged these shards
    counted = {key: value for key, value in summary.items() if key not in _TIMES}
    counted["seconds"] = summary.get("seconds", summary["finished_at"] - summary["started_at"])
    log_to(client, own, parameters, counted, curves, summary["finished_at"])
    client.log_batch(own.info.run_id, system_metrics(samples))
    for name, document in documents.items():
        client.log_dict(own.info.run_id, dict(document), name)
    if not run.held_out_family:  # of another fold it may have been noted, and stays until the whole run is complete
        forget_failure(client, parent, stage, *_BEFORE.get(stage, ()))
    if not engines:
        client.set_terminated(own.info.run_id, end_time=int(summary["finished_at"] * 1000))


@queued_if_unreachable()
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
    if os.environ.get(ENGINE_RUN_VARIABLE):
        return  # the engine has a run for each of these tasks
    _log_stage(
        replace(run, held_out_family=""),  # all folds begin with the same shards
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
    given = os.environ.get(ENGINE_RUN_VARIABLE)
    with mlflow.start_run(run.info.run_id):
        yield
    if given:
        os.environ[ENGINE_RUN_VARIABLE] = given  # MLflow takes it away when a run starts
        client.update_run(run.info.run_id, status="RUNNING")


def ask_server() -> None:
    """Asks the server for something that it always has, and waits half a minute at most.

    Raises:
        MlflowException: It does not answer.
    """
    with asked_briefly():
        MlflowClient().search_experiments(max_results=1)


@queued_if_unreachable()
def open_run(run: PipelineRun) -> None:
    """Makes the run of a pipeline, which its stages then find by its identity; one that failed goes on."""
    client = MlflowClient()
    parent = parent_run(client, run)
    if forget_failure(client, parent):
        client.update_run(parent.info.run_id, status="RUNNING")


@queued_if_unreachable()
def complete_run(
    run: PipelineRun,
    config: Mapping[str, Any],
    summary: Mapping[str, Any],
    documents: Mapping[str, Path],
    description: Path,
) -> None:
    """Completes the run of a pipeline that held families of workers out, one after the other, and registers nothing.

    Args:
        run: The pipeline's run.
        config: The whole config.
        summary: The headline: numbers become metrics.
        documents: Text files to keep with the run, by the name to show; `families.json` names the families.
        description: What the run amounts to, as Markdown.
    """
    client = MlflowClient()
    parent = parent_run(client, run)
    families = list(json.loads(documents["families.json"].read_text())["families"])
    digests = _digests(client, parent, families)
    parameters = {**config, **story_of_families(config, families, digests)}
    headline = {key: value for key, value in summary.items() if key not in _TIMES}
    log_to(client, parent, parameters, headline, (), summary["finished_at"])
    with active_run(client, parent):
        for family, digest in digests.items():
            log_data(config["name"], digest, f"without {family}")
        for name, path in documents.items():
            mlflow.log_text(path.read_text(encoding="utf-8"), name)
    # Kubeflow's page stands behind the table, which may be long.
    page = engine_page(parent)
    note = description.read_text(encoding="utf-8")
    ending = f"\n\n{page}" if page else ""
    client.set_tag(parent.info.run_id, MLFLOW_RUN_NOTE, note[: MAX_DESCRIPTION_LENGTH - len(ending)] + ending)
    forget_failure(client, parent)


def _digests(client: MlflowClient, parent: Run, families: Sequence[str]) -> dict[str, str]:
    """Finds the digests of the folds' data sets, as far as they were merged in this run and not taken from a cache."""
    merged = f"tags.`{_STAGE_TAG}` = 'merge_dataset' and tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent.info.run_id}'"
    found = {
        each.data.tags.get(_FAMILY_TAG): each.data.tags.get("sha256")
        for each in client.search_runs([parent.info.experiment_id], merged)
    }
    return {family: str(found[family]) for family in families if found.get(family)}
