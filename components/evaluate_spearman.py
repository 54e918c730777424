"""The component that evaluates a metrifier."""

from typing import Any, List  # noqa: UP035

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def evaluate_spearman(
    name: str,
    seed: int,
    shards: int,
    source: dict[str, Any],
    splits: list[Any],
    distortions: dict[str, Any],
    workers: dict[str, Any],
    merge: dict[str, Any],
    metrifier: dict[str, Any],
    evaluation: dict[str, Any],
    rejected: Input[Dataset],
    prepared: Input[Model],
    versions: Input[List[Dataset]],  # noqa: UP006
    losses: Input[List[Dataset]],  # noqa: UP006
    quality: Input[Dataset],
    model: Input[Model],
    metrics: Output[Metrics],
    report: Output[HTML],
    evaluated: Output[Artifact],
    held_out_family: str = "",
) -> None:
    """Evaluate the metrifier on the test versions, against workers that had no part in the labels.

    Args:
        name: Name of the run.
        seed: The run's seed.
        shards: Number of shards.
        source: Where the images come from.
        splits: How source images are split.
        distortions: Types, severities and how many of them.
        workers: Label workers, held-out workers and their catalogue.
        merge: How the label workers' probabilities become one number.
        metrifier: Architecture and training.
        evaluation: How the metrifier is evaluated.
        rejected: The images that could not be used.
        prepared: The workers.
        versions: A table for each shard.
        losses: A table for each shard.
        quality: ImageNet_Quality.
        model: The trained metrifier.
        metrics: All metrics with intervals, beside ceiling and baselines.
        report: The same as an HTML page.
        evaluated: The predictions behind it.
        held_out_family: The fold, if each family is held out once.
    """
    from pathlib import Path

    from metrifier_core.stages.evaluate_spearman import evaluate_spearman as run_stage
    from metrifier_core.tracking import PipelineRun, log_stage

    data = {"seed": seed, "shards": shards, "source": source, "splits": splits, "distortions": distortions}
    judging = {"workers": workers, "merge": merge, "metrifier": metrifier, "evaluation": evaluation}
    config = {"name": name, **data, **judging}
    summary = run_stage(
        config,
        Path(rejected.path),
        Path(prepared.path),
        [Path(shard.path) for shard in versions],
        [Path(shard.path) for shard in losses],
        Path(quality.path),
        Path(model.path),
        Path(metrics.path),
        Path(report.path),
        Path(evaluated.path),
    )
    for key, value in summary.items():
        metrics.log_metric(key, value)
    log_stage(PipelineRun(held_out_family=held_out_family), "evaluate_spearman", evaluation, summary)
    evaluated.metadata.update({"metrics": metrics.uri, "report": report.uri, "model": model.uri})
