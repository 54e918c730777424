"""What MLflow's table and compare page say of a pipeline's run: few names, the same for all runs, and a description."""

from collections.abc import Mapping
from typing import Any

from mlflow.entities import Run
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

__all__ = ["DIGITS", "describe_run", "headline", "quality_schema", "story"]

DIGITS = 36
"""Of a data set's SHA-256, as many as MLflow keeps."""

_ENGINE_PAGE_TAG = "kfp.pipeline_run_url"  # set by Kubeflow's MLflow plugin, without the host of Kubeflow's UI


def quality_schema() -> Schema:
    """Gives the columns of ImageNet_Quality in MLflow's types."""
    # Who serves a model needs no tables.
    import pyarrow as pa

    from metrifier_core.records import QUALITY

    types = {
        pa.string(): DataType.string,
        pa.int32(): DataType.integer,
        pa.int64(): DataType.long,
        pa.float64(): DataType.double,
        pa.list_(pa.float64()): Array(DataType.double),
    }
    return Schema([ColSpec(types[field.type], field.name) for field in QUALITY])


def headline(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Names the metrics that runs are compared by: correlations and AUROC a worker, and the calibration error."""
    named: dict[str, float | None] = {"calibration_error": metrics["calibration"]["error"]["value"]}
    for worker, found in metrics["workers"].items():
        named[f"{worker}_auroc"] = found["auroc"]["value"]
        for level, estimate in found.items():
            if "rho" in estimate:
                values = ("rho", "low", "high", "ceiling", "share")
                named |= {f"{worker}_{level}_{value}": estimate[value] for value in values}
    return {name: value for name, value in named.items() if value is not None}


def story(config: Mapping[str, Any], dataset: Mapping[str, Any]) -> dict[str, str]:
    """Names what one run has and another has not, in words that stand out among the whole config's dotted names.

    Args:
        config: The whole config.
        dataset: The data set's card.
    """
    return {
        "architecture": config["metrifier"]["architecture"],
        "label_workers": ", ".join(config["workers"]["label"]),
        "held_out_workers": ", ".join(config["workers"]["held_out"]),
        "data_digest": dataset["sha256"][:DIGITS],
    }


def describe_run(run: Run, description: str, model_name: str, version: str, standing: str) -> str:
    """Adds to a run's description where the report, the model and the engine's run are.

    Links are relative to the UI's own page, whatever the address that somebody sees it at.

    Args:
        run: The pipeline's run.
        description: What the metrics amount to, as Markdown.
        model_name: Name in the registry.
        version: Of the model that the run made.
        standing: Whether that is the champion, and why.

    Returns:
        Markdown.
    """
    own = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    lines = [
        f"[The report]({own}/artifacts/report.html)",
        f"[{model_name} version {version}](#/models/{model_name}/versions/{version}): {standing}",
    ]
    page = run.data.tags.get(_ENGINE_PAGE_TAG)
    if page:
        lines.append(f"[The run in Kubeflow]({page})" if "://" in page else f"The run in Kubeflow's UI: `{page}`")
    return "\n\n".join([description, *lines])
