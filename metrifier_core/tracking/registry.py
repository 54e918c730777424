"""Versions in MLflow's registry: a new one a training, the challenger; the champion is the best beyond doubt."""

import base64
from collections.abc import Mapping
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import FLAVOR_NAME
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from metrifier_core._version import __version__
from metrifier_core.data.dataset_card import DATASET_CARD, DatasetCard
from metrifier_core.data.metrifier_card import MODEL_CARD, MetrifierCard
from metrifier_core.execution.checksums import file_sha256
from metrifier_core.execution.progress import say
from metrifier_core.images import encode_png
from metrifier_core.settings.credentials import without_credentials
from metrifier_core.statistics import Metrics
from metrifier_core.tracking.champion import CHALLENGER, CHAMPION, Challenge, Patience, decide
from metrifier_core.tracking.data import log_data
from metrifier_core.tracking.failures import forget_failure
from metrifier_core.tracking.parents import parent_run
from metrifier_core.tracking.pipeline_run import PipelineRun
from metrifier_core.tracking.runs import active_run, ask_server, log_to
from metrifier_core.tracking.story import MAX_DESCRIPTION_LENGTH, describe_run, headline, story

_PATIENCE = Patience()
_MODEL_TAG = "metrifier.model"
_PACKAGE = Path(__file__).parents[1]
_MODEL_CODE = _PACKAGE / "scoring" / "mlflow_model.py"
_MODEL_REQUIREMENTS = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "pydantic", "tqdm")
_SIGNATURE = ModelSignature(
    # Any: base64 or pixels. A column of one type is cast as a whole, and one bad image would be the end of a request.
    Schema([ColSpec(AnyType(), "image")]),
    Schema([ColSpec(DataType.double, "quality", required=False), ColSpec(DataType.string, "error", required=False)]),
)


def register_model(
    run: PipelineRun,
    model_name: str,
    config: Mapping[str, Any],
    metrics: Metrics,
    dataset: DatasetCard,
    model: Path,
    report: Path,
    predictions: Path,
    model_card: Path,
    description: str,
    latency_ms: float,
    challenge: Challenge,
    kubeflow: str | None = None,
    patience: Patience = _PATIENCE,
) -> dict[str, Any]:
    """Registers a version of the model and completes the pipeline's run.

    A run that was killed in the middle goes on with the version that it has made.

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
        description: What the metrics amount to, as Markdown; links to the report and the version are added to it.
        latency_ms: What one view takes on this machine, milliseconds.
        challenge: Compares the new metrifier with the champion, which it is given a way to fetch.
        kubeflow: The address of Kubeflow's UI, to lead there.
        patience: How long the versions that other runs are registering are waited for.

    Returns:
        model_name, version, champion (whether the new version is it), gate (why), experiment_id and run_id.
    """
    client = MlflowClient()
    parent = parent_run(client, run)
    found = headline(metrics)
    card = MetrifierCard.model_validate_json((model / MODEL_CARD).read_text())
    counted = {
        "rows": metrics.rows,
        "sources": metrics.sources,
        "parameters": card.parameters,
        "latency_ms": latency_ms,
    }
    log_to(client, parent, {**config, **story(config, dataset)}, {**found, **counted}, ())
    # It ends with all of this: where something of it fails, so has the run.
    with active_run(client, parent):
        # The run is known by its settings, of which another machine may make another model.
        own = file_sha256(model / MODEL_CARD)
        version = _find_version(client, model_name, parent, own)
        if version is None:
            _log_files(config, metrics, dataset, report, predictions)
            logged = _log_model(config, model, model_card)
            version = str(mlflow.register_model(logged.model_uri, model_name, tags={_MODEL_TAG: own}).version)
        about = model_card.read_text(encoding="utf-8")[:MAX_DESCRIPTION_LENGTH]
        client.update_model_version(model_name, version, about)
        for key, value in found.items():
            client.set_model_version_tag(model_name, version, key, f"{value:.6f}")
        client.set_registered_model_alias(model_name, CHALLENGER, version)
        verdict = decide(client, model_name, version, challenge, _fetch_model, patience)
        differences = {f"champion_difference_{name}": value for name, value in verdict.difference.items()}
        judged = {**differences, "metrifier.gate": verdict.reason, "metrifier.version": __version__}
        log_to(client, parent, {}, judged, ())
        standing = f"{CHAMPION if verdict.passed else CHALLENGER}, {verdict.reason}"
        note = describe_run(parent, description, model_name, version, standing, kubeflow)
        client.set_tag(parent.info.run_id, MLFLOW_RUN_NOTE, note[:MAX_DESCRIPTION_LENGTH])
        forget_failure(client, parent)
    say(f"{model_name} version {version}: {standing}")
    return {
        "model_name": model_name,
        "version": version,
        "champion": verdict.passed,
        "gate": verdict.reason,
        "experiment_id": str(parent.info.experiment_id),
        "run_id": str(parent.info.run_id),
    }


def _find_version(client: MlflowClient, model_name: str, run: Run, own: str) -> str | None:
    """Finds the version that a run has made of the same model already, before it was killed."""
    made = client.search_model_versions(f"run_id = '{run.info.run_id}'")
    found = (each for each in made if each.name == model_name and each.tags.get(_MODEL_TAG) == own)
    return next((str(each.version) for each in found), None)


def _log_files(
    config: Mapping[str, Any], metrics: Metrics, dataset: DatasetCard, report: Path, predictions: Path
) -> None:
    """Logs to the active run what it was made from and what was found."""
    log_data(config["name"], dataset.sha256)
    mlflow.log_text(report.read_text(encoding="utf-8"), "report.html")
    mlflow.log_text(metrics.model_dump_json(indent=2), "metrics.json")
    mlflow.log_text(dataset.model_dump_json(indent=2), DATASET_CARD)
    mlflow.log_artifact(str(predictions))


def _log_model(config: Mapping[str, Any], model: Path, model_card: Path) -> Any:
    """Logs the metrifier to the active run, as a model that answers for itself."""
    grey = np.full((config["metrifier"]["crop"],) * 2 + (3,), 128, np.uint8)
    return mlflow.pyfunc.log_model(
        name="metrifier",
        python_model=_MODEL_CODE,
        artifacts={"metrifier": str(model), "model_card": str(model_card)},
        code_paths=[str(_PACKAGE)],
        signature=_SIGNATURE,
        input_example=pd.DataFrame({"image": [base64.b64encode(encode_png(grey)).decode()]}),
        pip_requirements=[f"{name}=={installed(name)}" for name in _MODEL_REQUIREMENTS],
    )


def download_model(uri: str) -> Path:
    """Fetches a registered metrifier; a server that is away is not waited for.

    Args:
        uri: Such as `models:/metrifier@champion`; the server is the one that MLFLOW_TRACKING_URI names.

    Returns:
        Its folder.

    Raises:
        ValueError: There is no such model, the message has MLflow's reason; it is no metrifier; no server is named.
    """
    _check_server(uri)
    return _fetch_model(uri)


def _fetch_model(uri: str) -> Path:
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
        parts = Model.load(folder).flavors.get(FLAVOR_NAME, {}).get("artifacts", {})
    except MlflowException as error:
        reason = f"{uri} cannot be loaded from {mlflow.get_tracking_uri()}: {error}"
        raise ValueError(without_credentials(reason)) from error
    if "metrifier" not in parts:
        raise ValueError(f"{uri} is no metrifier")
    return folder / str(parts["metrifier"]["path"])


def download_run_file(run_id: str, name: str) -> Path:
    """Fetches a file that was logged with a run.

    Args:
        run_id: Of the run; the server is the one that MLFLOW_TRACKING_URI names.
        name: Of the file.

    Raises:
        ValueError: There is no such run or file, the message has MLflow's reason; or no server is named.
    """
    _check_server(name)
    try:
        return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=name))
    except (MlflowException, OSError) as error:
        reason = f"{name} cannot be had from {mlflow.get_tracking_uri()}: {error}"
        raise ValueError(without_credentials(reason)) from error


def _check_server(wanted: str) -> None:
    """Refuses a server that is away, which MLflow asks for minutes, and none, where it makes an empty database here."""
    if not mlflow.is_tracking_uri_set():
        raise ValueError(f"{wanted} cannot be had: no MLflow server is named, set MLFLOW_TRACKING_URI")
    try:
        ask_server()
    except MlflowException as error:
        reason = f"{wanted} cannot be had from {mlflow.get_tracking_uri()}: {error}"
        raise ValueError(without_credentials(reason)) from error
