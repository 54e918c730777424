"""register_metrifier: a new version of the model in MLflow's registry, and the run's headline beside it."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from metrifier_core.comparison import read_judged_rows
from metrifier_core.config import TrackingSettings
from metrifier_core.gate import challenge
from metrifier_core.metrifier_card import MODEL_CARD, MetrifierCard
from metrifier_core.model_card import render_model_card
from metrifier_core.stages.running import Summary, stage, tables
from metrifier_core.tracking import PipelineRun, register_model

__all__ = ["register_metrifier"]


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
) -> Summary:
    """Registers a trained metrifier and completes the pipeline's run in MLflow.

    Args:
        run: The pipeline's run.
        tracking: The config's `tracking`.
        versions: What `distort` wrote, a folder a shard: the champion scores their test versions too.
        quality: What `merge_dataset` wrote.
        model: What `train_metrifier` wrote.
        metrics: The metrics as JSON.
        report: The report as HTML.
        evaluation: What `evaluate_spearman` wrote beside them.
        model_card: File for the model card as Markdown.

    Returns:
        model_name, version, champion (whether the new version is it), gate (why), experiment_id and run_id.

    Raises:
        ValueError: No MLflow server is named.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise ValueError("there is no MLflow server: set tracking.uri or the variable MLFLOW_TRACKING_URI")
    settings = TrackingSettings.model_validate(tracking)
    found = json.loads(metrics.read_text())
    config = json.loads((evaluation / "config.json").read_text())
    dataset = json.loads((quality / "dataset.json").read_text())
    card = MetrifierCard.model_validate_json((model / MODEL_CARD).read_text())
    sizes = {file.name: file.stat().st_size for file in model.iterdir()}
    text = render_model_card(settings.model_name, card, sizes, config, dataset, found)
    model_card.parent.mkdir(parents=True, exist_ok=True)
    model_card.write_text(text, encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        # An artifact of the pipeline has no ending; MLflow shows a file by it.
        named = Path(folder) / "model_card.md"
        named.write_text(text, encoding="utf-8")
        predictions = evaluation / "predictions.parquet"
        rows = read_judged_rows(predictions)
        gate = partial(
            challenge,
            rows=rows,
            versions=tables(list(versions), "versions"),
            quality=quality / "quality.parquet",
            seed=config["seed"],
        )
        return register_model(run, settings.model_name, config, found, dataset, model, report, predictions, named, gate)
