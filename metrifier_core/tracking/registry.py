"""Versions in MLflow's registry: every training registers one, the challenger; the best becomes the champion."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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

from metrifier_core._version import __version__
from metrifier_core.data.dataset_card import DATASET_CARD, DatasetCard
from metrifier_core.data.metrifier_card import MODEL_CARD, MetrifierCard
from metrifier_core.execution.checksums import file_sha256
from metrifier_core.execution.progress import say
from metrifier_core.images import encode_png
from metrifier_core.settings.credentials import without_credentials
from metrifier_core.statistics import Metrics
from metrifier_core.tracking.champion import CHALLENGER, CHAMPION, Challenge, decide
from metrifier_core.tracking.failures import forget_failure
from metrifier_core.tracking.pipeline_run import NOTE_TAG, PipelineRun, parent_run
from metrifier_core.tracking.runs import active_run, ask_server, log_data, log_to
from metrifier_core.tracking.story import MAX_DESCRIPTION_LENGTH, describe_run, headline, story

_MODEL_TAG = "metrifier.model"
_PACKAGE = Path(__file__).parents[1]
_MODEL_CODE = _PACKAGE / "scoring" / "mlflow_model.py"
_MODEL_REQUIREMENTS = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "pydantic", "tqdm")
_SIGNATURE = ModelSignature(
    # Any: base64 or pixels. MLflow casts a column of one type as a whole: one bad image would fail the request.
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
) -> dict[str, Any]:
    """Register a version of the model and complete the pipeline's run.

    A registration that was killed continues with the version that it has created.

    Args:
        run: The pipeline's run.
        model_name: Name in the registry.
        config: The whole config.
        metrics: What `evaluate_spearman` found.
        dataset: The data set's card.
        model: Folder of the trained metrifier.
        report: The report as HTML.
        predictions: Table of the predictions behind it.
        model_card: The model card as Markdown; it is stored with the model and describes its version.
        description: What the metrics amount to, as Markdown; links to the report and the version are appended.
        latency_ms: Time for one view on this machine, milliseconds.
        challenge: Compares the new metrifier with the champion.
        kubeflow: Address of Kubeflow's UI, to link to.

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
    with active_run(client, parent):  # an error in here fails the run
        # A run is identified by its settings, from which another machine may have trained another model.
        digest = file_sha256(model / MODEL_CARD)
        version = _find_version(client, model_name, parent, digest)
        if version is None:
            log_data(config["name"], dataset.sha256)
            mlflow.log_text(report.read_text(encoding="utf-8"), "report.html")
            mlflow.log_text(metrics.model_dump_json(indent=2), "metrics.json")
            mlflow.log_text(dataset.model_dump_json(indent=2), DATASET_CARD)
            mlflow.log_artifact(str(predictions))
            logged = _log_model(config, model, model_card)
            version = str(mlflow.register_model(logged.model_uri, model_name, tags={_MODEL_TAG: digest}).version)
        card_text = model_card.read_text(encoding="utf-8")
        client.update_model_version(model_name, version, card_text[:MAX_DESCRIPTION_LENGTH])
        for key, value in found.items():
            client.set_model_version_tag(model_name, version, key, f"{value:.6f}")
        client.set_registered_model_alias(model_name, CHALLENGER, version)
        verdict = decide(client, model_name, version, challenge, _fetch_model)
        differences = {f"champion_difference_{name}": value for name, value in verdict.difference.items()}
        judged = {**differences, "metrifier.gate": verdict.reason, "metrifier.version": __version__}
        log_to(client, parent, {}, judged, ())
        standing = f"{CHAMPION if verdict.passed else CHALLENGER}, {verdict.reason}"
        note = describe_run(parent, description, model_name, version, standing, kubeflow)
        client.set_tag(parent.info.run_id, NOTE_TAG, note[:MAX_DESCRIPTION_LENGTH])
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


def _find_version(client: MlflowClient, model_name: str, run: Run, digest: str) -> str | None:
    """Find the version that a killed registration of the same run has created of the same model."""
    for version in client.search_model_versions(f"run_id = '{run.info.run_id}'"):
        if version.name == model_name and version.tags.get(_MODEL_TAG) == digest:
            return str(version.version)
    return None


def _log_model(config: Mapping[str, Any], model: Path, model_card: Path) -> Any:
    """Log the metrifier to the active run as a model that brings its own code."""
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
    """Download a registered metrifier from the server that MLFLOW_TRACKING_URI names.

    Args:
        uri: Such as `models:/metrifier@champion`.

    Returns:
        Its folder.

    Raises:
        ValueError: No server is named or it does not answer, or there is no such model, or it is not a metrifier.
    """
    _check_server(uri)
    return _fetch_model(uri)


def _fetch_model(uri: str) -> Path:
    folder = _download(uri, artifact_uri=uri)
    try:
        artifacts = Model.load(folder).flavors.get(FLAVOR_NAME, {}).get("artifacts", {})
    except MlflowException:  # it is no model at all
        artifacts = {}
    if "metrifier" not in artifacts:
        raise ValueError(f"{uri} is not a metrifier: expected a model that register_metrifier has logged")
    return folder / str(artifacts["metrifier"]["path"])


def download_run_file(run_id: str, name: str) -> Path:
    """Download a file of a run from the server that MLFLOW_TRACKING_URI names.

    Raises:
        ValueError: No server is named or it does not answer, or there is no such run or file.
    """
    _check_server(name)
    return _download(name, run_id=run_id, artifact_path=name)


def _check_server(name: str) -> None:
    """Raise if no server answers: MLflow would retry for minutes, or create an empty database in this folder."""
    if not mlflow.is_tracking_uri_set():
        raise ValueError(f"{name} cannot be loaded: no MLflow server is named, set MLFLOW_TRACKING_URI")
    with _loading(name):
        ask_server()


def _download(name: str, **source: str) -> Path:
    with _loading(name):
        return Path(mlflow.artifacts.download_artifacts(**source))


@contextmanager
def _loading(name: str) -> Iterator[None]:
    try:
        yield
    except (MlflowException, OSError) as error:
        reason = f"{name} cannot be loaded from {mlflow.get_tracking_uri()}: {error}"
        raise ValueError(without_credentials(reason)) from error
