"""The few columns by which MLflow compares pipeline runs, the same for all runs, and a run's description."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from mlflow.entities import Run

from metrifier_core.data.dataset_card import DatasetCard
from metrifier_core.settings.environment import KUBEFLOW_VARIABLE, RUN_ID_VARIABLE, UNLOGGED_VARIABLE
from metrifier_core.statistics import Metrics, name_figures

DIGITS = 36
"""Digits of a data set's SHA-256 that MLflow stores."""

MAX_DESCRIPTION_LENGTH = 5000
"""Limit of the description of a run or a model version, in characters."""

_ENGINE_PAGE_TAG = "kfp.pipeline_run_url"  # set by Kubeflow's MLflow plugin, without the host of Kubeflow's UI


def headline(metrics: Metrics) -> dict[str, float]:
    """Return the metrics that runs are compared by: each registered one, by worker or against the label."""
    named = name_figures(metrics.label)
    for worker, figures in metrics.workers.items():
        named |= name_figures(figures, worker)
    return named


def story(config: Mapping[str, Any], dataset: DatasetCard) -> dict[str, str]:
    """Return the parameters by which runs differ, under names that stand out among the dotted names of the config."""
    held_out = ", ".join(config["workers"]["held_out"])
    return {**_columns(config, held_out), "data_digest": dataset.sha256[:DIGITS]}


def story_of_families(config: Mapping[str, Any], families: Sequence[str], digests: Mapping[str, str]) -> dict[str, str]:
    """Return the same for a run that held out each family once; without a digest unless all folds' are known."""
    columns = _columns(config, f"each family once: {', '.join(families)}")
    if not families or set(digests) != set(families):
        return columns
    whole = hashlib.sha256("".join(f"{family} {digests[family]}\n" for family in sorted(families)).encode())
    return {**columns, "data_digest": whole.hexdigest()[:DIGITS]}


def _columns(config: Mapping[str, Any], held_out: str) -> dict[str, str]:
    return {
        "architecture": config["metrifier"]["architecture"],
        "label_workers": ", ".join(config["workers"]["label"]),
        "held_out_workers": held_out,
    }


def describe_run(
    run: Run, description: str, model_name: str, version: str, standing: str, kubeflow: str | None = None
) -> str:
    """Append links to the report, the model and the engine's run to a run's description, as Markdown.

    The links are relative to the UI's page, so that they work under any address of the server.
    """
    page = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    lines = [
        description,
        f"[The report]({page}/artifacts/report.html)",
        f"[{model_name} version {version}](#/models/{model_name}/versions/{version}): {standing}",
        engine_page(run, kubeflow),
    ]
    return "\n\n".join(filter(None, lines))


def engine_page(run: Run, kubeflow: str | None = None) -> str:
    """Return a link to a run in Kubeflow's UI (the environment's if None) as Markdown; empty on one machine."""
    page = run.data.tags.get(_ENGINE_PAGE_TAG, "")
    identity = os.environ.get(RUN_ID_VARIABLE)
    address = kubeflow or os.environ.get(KUBEFLOW_VARIABLE)
    if address and identity and UNLOGGED_VARIABLE not in os.environ and "://" not in page:  # on a cluster
        page = f"{address.rstrip('/')}/#/runs/details/{identity}"
    if "://" in page:
        return f"[The run in Kubeflow]({page})"
    return f"The run in Kubeflow's UI: `{page}`" if page else ""
