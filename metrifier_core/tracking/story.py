"""What MLflow's table and compare page say of a pipeline's run: few names, the same for all runs, and a description."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from mlflow.entities import Run

from metrifier_core.data.dataset_card import DatasetCard
from metrifier_core.settings.environment import KUBEFLOW_VARIABLE, RUN_ID_VARIABLE, UNLOGGED_VARIABLE
from metrifier_core.statistics import Metrics, name_figures

DIGITS = 36
"""Of a data set's SHA-256, as many as MLflow keeps."""

MAX_DESCRIPTION_LENGTH = 5000
"""Of a run's or a model version's text, in characters."""

_ENGINE_PAGE_TAG = "kfp.pipeline_run_url"  # set by Kubeflow's MLflow plugin, without the host of Kubeflow's UI


def headline(metrics: Metrics) -> dict[str, float]:
    """Return the metrics that runs are compared by: each registered one, by worker or against the label."""
    named = name_figures(metrics.label)
    for worker, figures in metrics.workers.items():
        named |= name_figures(figures, worker)
    return named


def story(config: Mapping[str, Any], dataset: DatasetCard) -> dict[str, str]:
    """Names what one run has and another has not, in words that stand out among the whole config's dotted names.

    Args:
        config: The whole config.
        dataset: The data set's card.
    """
    held_out = ", ".join(config["workers"]["held_out"])
    return {**_told(config, held_out), "data_digest": dataset.sha256[:DIGITS]}


def story_of_families(config: Mapping[str, Any], families: Sequence[str], digests: Mapping[str, str]) -> dict[str, str]:
    """Names the same of a run over families of workers.

    Args:
        config: The whole config.
        families: Those that were held out, one after the other.
        digests: Of the folds' data sets; where not all are known, neither is that of the whole.
    """
    told = _told(config, f"each family once: {', '.join(families)}")
    if not families or set(digests) != set(families):
        return told
    whole = hashlib.sha256("".join(f"{family} {digests[family]}\n" for family in sorted(families)).encode())
    return {**told, "data_digest": whole.hexdigest()[:DIGITS]}


def _told(config: Mapping[str, Any], held_out: str) -> dict[str, str]:
    return {
        "architecture": config["metrifier"]["architecture"],
        "label_workers": ", ".join(config["workers"]["label"]),
        "held_out_workers": held_out,
    }


def describe_run(
    run: Run, description: str, model_name: str, version: str, standing: str, kubeflow: str | None = None
) -> str:
    """Adds to a run's description where the report, the model and the engine's run are.

    Links are relative to the UI's own page, whatever the address that somebody sees it at.

    Args:
        run: The pipeline's run.
        description: What the metrics amount to, as Markdown.
        model_name: Name in the registry.
        version: Of the model that the run made.
        standing: Whether that is the champion, and why.
        kubeflow: The address of Kubeflow's UI.

    Returns:
        Markdown.
    """
    own = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    lines = [
        f"[The report]({own}/artifacts/report.html)",
        f"[{model_name} version {version}](#/models/{model_name}/versions/{version}): {standing}",
    ]
    page = engine_page(run, kubeflow)
    return "\n\n".join([description, *lines, *([page] if page else [])])


def engine_page(run: Run, kubeflow: str | None = None) -> str:
    """Says where Kubeflow's UI shows a run, as Markdown; nothing of a run on one machine.

    Args:
        run: The pipeline's run.
        kubeflow: The address of Kubeflow's UI; that of the environment where left out.
    """
    page = run.data.tags.get(_ENGINE_PAGE_TAG, "")
    identity = os.environ.get(RUN_ID_VARIABLE)
    address = kubeflow or os.environ.get(KUBEFLOW_VARIABLE)
    if address and identity and UNLOGGED_VARIABLE not in os.environ and "://" not in page:  # on a cluster
        page = f"{address.rstrip('/')}/#/runs/details/{identity}"
    if "://" in page:
        return f"[The run in Kubeflow]({page})"
    return f"The run in Kubeflow's UI: `{page}`" if page else ""
