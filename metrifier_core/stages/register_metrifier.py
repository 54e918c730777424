"""register_metrifier: register the metrifier in MLflow and complete the pipeline's run."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from metrifier_core.config.run import TrackingSettings
from metrifier_core.data.dataset_card import DATASET_CARD, DatasetCard
from metrifier_core.data.metrifier_card import MODEL_CARD, MetrifierCard
from metrifier_core.data.records import tables
from metrifier_core.data.registration import Registration
from metrifier_core.evaluation.comparison import read_judged_rows
from metrifier_core.evaluation.promotion import challenge
from metrifier_core.report import reasons, verdict
from metrifier_core.report.model_card import render_model_card
from metrifier_core.scoring.latency import measure_latency
from metrifier_core.stages.running import Summary, stage
from metrifier_core.statistics import Metrics
from metrifier_core.tracking import PipelineRun, queued_if_unreachable, register_model

_PREDICTIONS = "predictions.parquet"


@queued_if_unreachable(needed=True)
def register_now(
    run: PipelineRun,
    tracking: Mapping[str, Any],
    versions: Sequence[Path],
    quality: Path,
    model: Path,
    metrics: Path,
    report: Path,
    evaluation: Path,
    model_card: Path,
    registered: Path,
) -> None:
    """Register a metrifier whose model card exists; queued until the next start if MLflow is unreachable.

    The arguments are those of `register_metrifier`.
    """
    config = json.loads((evaluation / "config.json").read_text())
    gate = partial(
        challenge,
        rows=read_judged_rows(evaluation / _PREDICTIONS),
        versions=tables(list(versions), "versions"),
        quality=quality / "quality.parquet",
        seed=config["seed"],
    )
    settings = TrackingSettings.model_validate(tracking)
    measured = Metrics.model_validate_json(metrics.read_bytes())
    rests_on = "\n".join(f"- {reason}" for reason in reasons(measured))
    with tempfile.TemporaryDirectory() as folder:
        # MLflow shows a file by its suffix, which artifacts of the pipeline lack.
        named_card = Path(folder) / "model_card.md"
        shutil.copyfile(model_card, named_card)
        result = register_model(
            run,
            settings.model_name,
            config,
            measured,
            DatasetCard.model_validate_json((quality / DATASET_CARD).read_bytes()),
            model,
            report,
            evaluation / _PREDICTIONS,
            named_card,
            f"**{verdict(measured)}**\n\n{rests_on}",
            measure_latency(model),
            gate,
            settings.kubeflow,
        )
    registered.write_text(Registration.model_validate(result).model_dump_json(indent=2) + "\n")


@stage
def register_metrifier(
    run: PipelineRun,
    tracking: Mapping[str, Any],
    versions: Sequence[Path],
    quality: Path,
    model: Path,
    metrics: Path,
    report: Path,
    evaluation: Path,
    model_card: Path,
    registered: Path,
) -> Summary:
    """Register a trained metrifier and complete the pipeline's run in MLflow.

    Args:
        run: The pipeline's run.
        tracking: The config's `tracking`.
        versions: Folders that `distort` wrote, one for each shard; the champion scores their test versions too.
        quality: What `merge_dataset` wrote.
        model: What `train_metrifier` wrote.
        metrics: The metrics as JSON.
        report: The report as HTML.
        evaluation: What `evaluate_spearman` wrote beside them.
        model_card: File for the model card as Markdown.
        registered: File for the returned values as JSON. `version` is null while the registration is queued.

    Returns:
        model_name, version, champion (whether the new version is it), gate (why), experiment_id and run_id.

    Raises:
        ValueError: No MLflow server is configured.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise ValueError("there is no MLflow server: set tracking.uri or the variable MLFLOW_TRACKING_URI")
    name = TrackingSettings.model_validate(tracking).model_name
    config = json.loads((evaluation / "config.json").read_text())
    card = MetrifierCard.model_validate_json((model / MODEL_CARD).read_text())
    sizes = {file.name: file.stat().st_size for file in model.iterdir()}
    dataset = DatasetCard.model_validate_json((quality / DATASET_CARD).read_bytes())
    measured = Metrics.model_validate_json(metrics.read_bytes())
    text = render_model_card(name, card, sizes, config, dataset, measured)
    model_card.parent.mkdir(parents=True, exist_ok=True)
    model_card.write_text(text, encoding="utf-8")
    waiting = Registration(model_name=name, gate="waits for MLflow")
    registered.write_text(waiting.model_dump_json(indent=2) + "\n")
    register_now(run, tracking, versions, quality, model, metrics, report, evaluation, model_card, registered)
    return Registration.model_validate_json(registered.read_bytes()).model_dump(exclude_none=True)
