"""MLflow: one run a pipeline run, a nested one a stage, a registered version a training. Nothing else imports it."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metrifier_core._version import __version__
from metrifier_core.environment import RUN_ID_VARIABLE
from metrifier_core.progress import say

try:
    import mlflow
    from mlflow import MlflowClient
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import Metric, Param, Run, RunTag
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model, ModelSignature, set_model
    from mlflow.pyfunc import FLAVOR_NAME, PythonModel
    from mlflow.types import Schema, TensorSpec
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME
except ImportError as error:
    # A checkout's own folder `mlflow` is importable as an empty namespace where MLflow is missing.
    raise ImportError("MLflow is not installed: pip install 'metrifier[tracking]'") from error

if TYPE_CHECKING:
    from metrifier_core.gate import Verdict

__all__ = [
    "PipelineRun",
    "PythonModel",
    "complete_run",
    "download_model",
    "fail_run",
    "find_run",
    "log_fan_out",
    "log_stage",
    "register_model",
    "set_model",
]

_ENGINE_RUN_VARIABLE = "MLFLOW_RUN_ID"  # set where the pipeline engine has made a run for the task itself
_PIPELINE_RUN_TAG = "kfp.pipeline_run_id"
_STAGE_TAG = "metrifier.stage"
_FAILURE_TAG = "metrifier.failure"
_FAMILY_TAG = "metrifier.held_out_family"
_CHAMPION, _CHALLENGER = "champion", "challenger"
_LONGEST_VALUE = 6000  # of a parameter, in characters
_LONGEST_DESCRIPTION = 5000  # of a model version, in characters
_MODEL_CODE = Path(__file__).with_name("mlflow_model.py")
_MODEL_REQUIREMENTS = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "pydantic", "tqdm")


@dataclass(frozen=True)
class PipelineRun:
    """The pipeline run that a stage belongs to.

    Attributes:
        name: What it is called in the UI.
        experiment: The MLflow experiment.
        held_out_family: Names the fold that the stage belongs to, where every family of workers is held out once.
    """

    name: str
    experiment: str
    held_out_family: str = ""

    @property
    def id(self) -> str:
        """Its identity over all stages and restarts: from the environment, since a stage's cache keys on its inputs."""
        return os.environ.get(RUN_ID_VARIABLE, self.name)


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


def _parent(client: MlflowClient, run: PipelineRun) -> Run:
    """Finds or makes the run of the whole pipeline."""
    given = os.environ.get(_ENGINE_RUN_VARIABLE)
    if given:
        # The pipeline engine tracks too: this task's run is there already, below the pipeline's.
        own = client.get_run(given)
        return client.get_run(own.data.tags.get(MLFLOW_PARENT_RUN_ID, given))
    experiment = _experiment_id(client, run.experiment)
    found = client.search_runs([experiment], f"tags.`{_PIPELINE_RUN_TAG}` = '{run.id}'", max_results=1)
    if found:
        return found[0]
    tags = {_PIPELINE_RUN_TAG: run.id, MLFLOW_RUN_NAME: run.name, "metrifier.version": __version__}
    return client.create_run(experiment, tags=tags)


def _stage_run(client: MlflowClient, run: PipelineRun, stage: str, started_at: float) -> Run:
    """Finds the engine's run of this task, or makes a nested one."""
    given = os.environ.get(_ENGINE_RUN_VARIABLE)
    if given:
        return client.get_run(given)
    parent = _parent(client, run)
    shown = f"{stage} without {run.held_out_family}" if run.held_out_family else stage
    tags = {MLFLOW_PARENT_RUN_ID: parent.info.run_id, MLFLOW_RUN_NAME: shown, _STAGE_TAG: stage}
    if run.held_out_family:
        tags[_FAMILY_TAG] = run.held_out_family
    return client.create_run(parent.info.experiment_id, start_time=int(started_at * 1000), tags=tags)


def _log(
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


@contextmanager
def _never_in_the_way(what: str) -> Iterator[None]:
    """Lets a stage's work stand when the tracking server does not."""
    try:
        yield
    except Exception as error:
        say(f"{what} could not be logged to MLflow; the stage's own results are complete. Reason: {error}")


def log_stage(
    run: PipelineRun,
    stage: str,
    parameters: Mapping[str, Any],
    summary: Mapping[str, Any],
    curves: Sequence[Mapping[str, float]] = (),
    documents: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Logs a finished stage as a nested run that lasts as long as the stage did.

    Args:
        run: The pipeline's run.
        stage: Name of the stage.
        parameters: Its settings; nested ones get dotted names.
        summary: What it returned: numbers become metrics, texts become tags.
        curves: A mapping an epoch, with the key `epoch`; the others become metrics.
        documents: JSON documents to keep with the run, by their file name.
    """
    with _never_in_the_way(stage):
        client = MlflowClient()
        own = _stage_run(client, run, stage, summary["started_at"])
        times = ("started_at", "finished_at")
        counted = {key: value for key, value in summary.items() if key not in times}
        counted["seconds"] = summary.get("seconds", summary["finished_at"] - summary["started_at"])
        _log(client, own, parameters, counted, curves)
        for name, document in (documents or {}).items():
            client.log_dict(own.info.run_id, dict(document), name)
        if not os.environ.get(_ENGINE_RUN_VARIABLE):
            client.set_terminated(own.info.run_id, end_time=int(summary["finished_at"] * 1000))


def _is_logged(run: PipelineRun, stage: str) -> bool:
    """Says whether a stage has a nested run already."""
    found: Sequence[Run] = []
    with _never_in_the_way(stage):
        client = MlflowClient()
        parent = _parent(client, run)
        own = f"tags.`{_STAGE_TAG}` = '{stage}' and tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent.info.run_id}'"
        found = client.search_runs([parent.info.experiment_id], own, max_results=1)
    return bool(found)


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
    log_stage(
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
    )


def _headline(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Names the metrics that runs are compared by: correlations and AUROC a worker, and the calibration error."""
    named: dict[str, float | None] = {"calibration_error": metrics["calibration"]["error"]["value"]}
    for worker, found in metrics["workers"].items():
        named[f"{worker}_auroc"] = found["auroc"]["value"]
        for level, estimate in found.items():
            if "rho" in estimate:
                values = ("rho", "low", "high", "ceiling", "share")
                named |= {f"{worker}_{level}_{value}": estimate[value] for value in values}
    return {name: value for name, value in named.items() if value is not None}


@contextmanager
def _active(client: MlflowClient, run: Run) -> Iterator[None]:
    """Makes a run the active one and ends it, unless it is the pipeline engine's, which ends its own."""
    given = os.environ.get(_ENGINE_RUN_VARIABLE)
    with mlflow.start_run(run.info.run_id):
        yield
    if given:
        os.environ[_ENGINE_RUN_VARIABLE] = given  # MLflow takes it away when a run starts
        client.update_run(run.info.run_id, status="RUNNING")


def find_run(identity: str) -> Run | None:
    """Finds the run of a pipeline by the identity that the pipeline engine gave it.

    Returns:
        MLflow's run; None where there is none, or where the server cannot be asked.
    """
    found: Sequence[Run] = []
    with _never_in_the_way(identity):
        client = MlflowClient()
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        own = f"tags.`{_PIPELINE_RUN_TAG}` = '{identity}'"
        found = client.search_runs(experiments, own, max_results=1)
    return found[0] if found else None


def fail_run(run: PipelineRun, reason: str) -> None:
    """Closes the run of a pipeline that failed, which would else go on for ever.

    Args:
        run: The pipeline's run.
        reason: What failed and why.
    """
    if os.environ.get(_ENGINE_RUN_VARIABLE):
        return  # the engine closes the runs that it made
    with _never_in_the_way(run.name):
        client = MlflowClient()
        parent = _parent(client, run)
        client.set_tag(parent.info.run_id, _FAILURE_TAG, reason[:_LONGEST_DESCRIPTION])
        client.set_terminated(parent.info.run_id, "FAILED")


def complete_run(
    run: PipelineRun, config: Mapping[str, Any], summary: Mapping[str, Any], documents: Mapping[str, Path]
) -> None:
    """Completes the run of a pipeline that registers nothing.

    Args:
        run: The pipeline's run.
        config: The whole config.
        summary: The headline: numbers become metrics.
        documents: Text files to keep with the run, by the name to show.
    """
    with _never_in_the_way(run.name):
        client = MlflowClient()
        parent = _parent(client, run)
        times = ("started_at", "finished_at")
        _log(client, parent, config, {key: value for key, value in summary.items() if key not in times}, ())
        with _active(client, parent):
            for name, path in documents.items():
                mlflow.log_text(path.read_text(encoding="utf-8"), name)


def register_model(
    run: PipelineRun,
    model_name: str,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    dataset: Mapping[str, Any],
    model: Path,
    report: Path,
    predictions: Path,
    model_card: Path,
    challenge: "Callable[[Path], Verdict]",
) -> dict[str, Any]:
    """Registers a version of the model and completes the pipeline's run.

    Args:
        run: The pipeline's run.
        model_name: Name in the registry.
        config: The whole config.
        metrics: What `evaluate_spearman` found.
        dataset: The data set's card.
        model: Folder of the trained metrifier.
        report: The report as HTML.
        predictions: Table of the predictions behind it.
        model_card: What is to be known about the model, as Markdown; it goes with the model, and describes its version.
        challenge: Compares the new metrifier with the champion, whose folder it is given.

    Returns:
        model_name, version, champion (whether the new version is it), gate (why), experiment_id and run_id.
    """
    client = MlflowClient()
    parent = _parent(client, run)
    headline = _headline(metrics)
    _log(client, parent, config, {**headline, "rows": metrics["rows"], "sources": metrics["sources"]}, ())
    with _active(client, parent):
        source = CodeDatasetSource(tags={"metrifier.run": run.name})
        mlflow.log_input(MetaDataset(source, "ImageNet_Quality", dataset["sha256"][:36]), context="training")
        mlflow.log_text(report.read_text(encoding="utf-8"), "report.html")
        mlflow.log_dict(dict(metrics), "metrics.json")
        mlflow.log_dict(dict(dataset), "dataset.json")
        mlflow.log_artifact(str(predictions))
        crop = config["metrifier"]["crop"]
        # Tensors without a name: `predict` takes and gives plain arrays.
        images = TensorSpec(np.dtype(np.uint8), (-1, -1, -1, 3))
        scores = TensorSpec(np.dtype(np.float64), (-1,))
        logged = mlflow.pyfunc.log_model(
            name="metrifier",
            python_model=_MODEL_CODE,
            artifacts={"metrifier": str(model), "model_card": str(model_card)},
            code_paths=[str(Path(__file__).parent)],
            signature=ModelSignature(Schema([images]), Schema([scores])),
            input_example=np.full((1, crop, crop, 3), 128, np.uint8),
            pip_requirements=[f"{name}=={version(name)}" for name in _MODEL_REQUIREMENTS],
        )
    registered = mlflow.register_model(logged.model_uri, model_name)
    description = model_card.read_text(encoding="utf-8")[:_LONGEST_DESCRIPTION]
    client.update_model_version(model_name, registered.version, description)
    for key, value in headline.items():
        client.set_model_version_tag(model_name, registered.version, key, f"{value:.6f}")
    client.set_registered_model_alias(model_name, _CHALLENGER, registered.version)
    verdict = _pass_gate(client, model_name, str(registered.version), challenge)
    client.set_model_version_tag(model_name, registered.version, "gate", verdict.reason)
    found = {f"champion_difference_{name}": value for name, value in verdict.difference.items()}
    _log(client, parent, {}, {**found, "metrifier.gate": verdict.reason}, ())
    say(
        f"{model_name} version {registered.version}: {'champion' if verdict.passed else 'challenger'}, {verdict.reason}"
    )
    return {
        "model_name": model_name,
        "version": str(registered.version),
        "champion": verdict.passed,
        "gate": verdict.reason,
        "experiment_id": str(parent.info.experiment_id),
        "run_id": str(parent.info.run_id),
    }


def _pass_gate(
    client: MlflowClient, model_name: str, version: str, challenge: "Callable[[Path], Verdict]"
) -> "Verdict":
    """Makes a new version the champion where it passes."""
    from metrifier_core.gate import Verdict

    def champion() -> str | None:
        found: str | None = client.get_registered_model(model_name).aliases.get(_CHAMPION)
        return found

    verdict = Verdict(True, "the first version", {})
    while (holder := champion()) is not None:
        verdict = challenge(download_model(f"models:/{model_name}/{holder}"))
        # Another run may have moved the alias meanwhile: its version is the one to beat.
        if champion() == holder:
            break
    if verdict.passed:
        client.set_registered_model_alias(model_name, _CHAMPION, version)
    return verdict


def download_model(uri: str) -> Path:
    """Fetches a registered metrifier.

    Args:
        uri: Such as `models:/metrifier@champion`; the server is the one that MLFLOW_TRACKING_URI names.

    Returns:
        Its folder.

    Raises:
        ValueError: There is no such model, the message has MLflow's reason; or it is no metrifier.
    """
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
        parts = Model.load(folder).flavors.get(FLAVOR_NAME, {}).get("artifacts", {})
    except MlflowException as error:
        raise ValueError(f"{uri} cannot be loaded from {mlflow.get_tracking_uri()}: {error}") from error
    if "metrifier" not in parts:
        raise ValueError(f"{uri} is no metrifier")
    return folder / str(parts["metrifier"]["path"])
