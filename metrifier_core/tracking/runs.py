"""Runs in MLflow: one for a pipeline's run, a nested one for each of its stages."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

from metrifier_core.tracking.failures import forget_failure
from metrifier_core.tracking.offline_queue import queued_if_unreachable
from metrifier_core.tracking.pipeline_run import ENGINE_RUN_VARIABLE, NOTE_TAG, PARENT_TAG, PipelineRun, parent_run
from metrifier_core.tracking.story import DIGITS, MAX_DESCRIPTION_LENGTH, engine_page, story_of_families
from metrifier_core.tracking.timeouts import short_timeouts

_STAGE_TAG = "metrifier.stage"
_FAMILY_TAG = "metrifier.held_out_family"
_MAX_VALUE_LENGTH = 6000  # of a parameter, in characters
_TIMES = ("started_at", "finished_at")
# Stages that log nothing themselves and have succeeded once the other one is logged.
_BEFORE = {"worker_evaluate": ("join_losses",)}


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Turn nested settings into dotted names and short texts."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)[:_MAX_VALUE_LENGTH]
    return flat


def open_stage_run(client: MlflowClient, run: PipelineRun, parent: Run, stage: str, started_at: float) -> Run:
    """Return the engine's run of this task, or the unfinished run of the stage, or create a nested run.

    A finished run that started at the same Unix time is the same attempt, logged a second time.
    """
    task_run_id = os.environ.get(ENGINE_RUN_VARIABLE)
    if task_run_id:
        return client.get_run(task_run_id)
    started = int(started_at * 1000)
    of_stage = f"tags.`{_STAGE_TAG}` = '{stage}' and tags.`{PARENT_TAG}` = '{parent.info.run_id}'"
    for stage_run in client.search_runs([parent.info.experiment_id], of_stage):
        same_fold = stage_run.data.tags.get(_FAMILY_TAG, "") == run.held_out_family
        if same_fold and (stage_run.info.status != "FINISHED" or stage_run.info.start_time == started):
            return stage_run
    name = f"{stage} without {run.held_out_family}" if run.held_out_family else stage
    tags = {PARENT_TAG: parent.info.run_id, _STAGE_TAG: stage}
    if run.held_out_family:
        tags[_FAMILY_TAG] = run.held_out_family
    return client.create_run(parent.info.experiment_id, start_time=started, tags=tags, run_name=name)


def log_to(
    client: MlflowClient,
    run: Run,
    parameters: Mapping[str, Any],
    summary: Mapping[str, Any],
    curves: Sequence[Mapping[str, float]],
    found_at: float | None = None,
) -> None:
    """Log parameters, metrics and tags to a run; parameters that it has already are left as they are.

    Metrics of the same `found_at` (Unix time; now if None) are stored once, however often they are logged.
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
) -> None:
    """Log a finished stage as a nested run that lasts as long as the stage did.

    Args:
        run: The pipeline's run.
        stage: Name of the stage.
        parameters: Its settings; nested ones get dotted names.
        summary: What it returned: numbers become metrics, texts become tags.
        curves: A mapping for each epoch with the key `epoch`; its other entries become metrics.
        documents: JSON documents to store with the run, by file name.
    """
    client = MlflowClient()
    parent = parent_run(client, run)
    stage_run = open_stage_run(client, run, parent, stage, summary["started_at"])
    of_engine = bool(os.environ.get(ENGINE_RUN_VARIABLE))
    if stage_run.info.status == "FINISHED" and not of_engine:
        return  # only the server's last answer was lost, or another fold has logged the same shards
    counted = {key: value for key, value in summary.items() if key not in _TIMES}
    counted["seconds"] = summary.get("seconds", summary["finished_at"] - summary["started_at"])
    log_to(client, stage_run, parameters, counted, curves, summary["finished_at"])
    for name, document in (documents or {}).items():
        client.log_dict(stage_run.info.run_id, dict(document), name)
    if not run.held_out_family:  # the failure may be another fold's: it stays until the whole run is complete
        forget_failure(client, parent, stage, *_BEFORE.get(stage, ()))
    if not of_engine:
        client.set_terminated(stage_run.info.run_id, end_time=int(summary["finished_at"] * 1000))


def log_fan_out(
    run: PipelineRun, stage: str, parameters: Mapping[str, Any], summaries: Sequence[Mapping[str, Any]]
) -> None:
    """Log a stage that ran once for each shard as one nested run, with the sums of its tasks' counts and seconds."""
    if os.environ.get(ENGINE_RUN_VARIABLE):
        return  # the engine has a run for each of these tasks
    summary = {
        "tasks": len(summaries),
        "versions": sum(summary["versions"] for summary in summaries),
        "seconds": sum(summary["finished_at"] - summary["started_at"] for summary in summaries),
        "started_at": min(summary["started_at"] for summary in summaries),
        "finished_at": max(summary["finished_at"] for summary in summaries),
    }
    log_stage(replace(run, held_out_family=""), stage, parameters, summary)  # folds share their shards


@contextmanager
def active_run(client: MlflowClient, run: Run) -> Iterator[None]:
    """Make a run the active one and end it; a run of the pipeline engine stays open."""
    task_run_id = os.environ.get(ENGINE_RUN_VARIABLE)
    with mlflow.start_run(run.info.run_id):
        yield
    if task_run_id:
        os.environ[ENGINE_RUN_VARIABLE] = task_run_id  # MLflow deletes it when a run starts
        client.update_run(run.info.run_id, status="RUNNING")


def ask_server() -> None:
    """Ask the server for something that it always has, for half a minute at most.

    Raises:
        MlflowException: It does not answer.
    """
    with short_timeouts():
        MlflowClient().search_experiments(max_results=1)


@queued_if_unreachable()
def open_run(run: PipelineRun) -> None:
    """Create the run of a pipeline, which its stages then find by its identity, or reopen one that failed."""
    client = MlflowClient()
    parent = parent_run(client, run)
    if forget_failure(client, parent):
        client.update_run(parent.info.run_id, status="RUNNING")


@queued_if_unreachable()
def complete_run(
    run: PipelineRun,
    config: Mapping[str, Any],
    summary: Mapping[str, Any],
    families: Sequence[str],
    documents: Mapping[str, Path],
    description: Path,
) -> None:
    """Complete the run of a pipeline that held out each family of workers once and registers no model.

    Args:
        run: The pipeline's run.
        config: The whole config.
        summary: The headline: numbers become metrics.
        families: The families that were held out.
        documents: Text files to store with the run, by file name.
        description: File with the result as Markdown.
    """
    client = MlflowClient()
    parent = parent_run(client, run)
    digests = _digests(client, parent, families)
    parameters = {**config, **story_of_families(config, families, digests)}
    headline = {key: value for key, value in summary.items() if key not in _TIMES}
    log_to(client, parent, parameters, headline, (), summary["finished_at"])
    with active_run(client, parent):
        for family, digest in digests.items():
            log_data(config["name"], digest, f"without {family}")
        for name, path in documents.items():
            mlflow.log_text(path.read_text(encoding="utf-8"), name)
    # The table may be too long: the link to Kubeflow must not be cut off.
    page = engine_page(parent)
    note = description.read_text(encoding="utf-8")
    ending = f"\n\n{page}" if page else ""
    client.set_tag(parent.info.run_id, NOTE_TAG, note[: MAX_DESCRIPTION_LENGTH - len(ending)] + ending)
    forget_failure(client, parent)


def _digests(client: MlflowClient, parent: Run, families: Sequence[str]) -> dict[str, str]:
    """Find the digests of the folds' data sets, except of those that this run took from a cache."""
    merged = f"tags.`{_STAGE_TAG}` = 'merge_dataset' and tags.`{PARENT_TAG}` = '{parent.info.run_id}'"
    digests = {
        stage_run.data.tags.get(_FAMILY_TAG): stage_run.data.tags.get("sha256")
        for stage_run in client.search_runs([parent.info.experiment_id], merged)
    }
    return {family: str(digests[family]) for family in families if digests.get(family)}


def _quality_schema() -> Schema:
    """Return the columns of ImageNet_Quality in MLflow's types."""
    # An image that serves a model has no pyarrow.
    import pyarrow as pa

    from metrifier_core.data.records import QUALITY

    types = {
        pa.string(): DataType.string,
        pa.int32(): DataType.integer,
        pa.int64(): DataType.long,
        pa.float64(): DataType.double,
        pa.list_(pa.float64()): Array(DataType.double),
    }
    return Schema([ColSpec(types[field.type], field.name) for field in QUALITY])


def log_data(run_name: str, sha256: str, fold: str = "") -> None:
    """Log ImageNet_Quality to the active run as an input; `fold` tells it from the tables of other folds."""
    source = CodeDatasetSource(tags={"metrifier.run": run_name})
    name = f"ImageNet_Quality {fold}".strip()
    mlflow.log_input(MetaDataset(source, name, sha256[:DIGITS], _quality_schema()), context="training")
