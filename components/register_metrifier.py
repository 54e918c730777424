"""The component that registers a metrifier."""

from typing import Any, List  # noqa: UP035

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Markdown, Metrics, Model, Output

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def register_metrifier(
    tracking: dict[str, Any],
    versions: Input[List[Dataset]],  # noqa: UP006
    quality: Input[Dataset],
    model: Input[Model],
    metrics: Input[Metrics],
    report: Input[HTML],
    evaluated: Input[Artifact],
    registered: Output[Artifact],
    model_card: Output[Markdown],
) -> None:
    """Register the metrifier as a new version of the model in MLflow.

    Args:
        tracking: Name of the registered model, and the server.
        versions: A table for each shard, whose test versions the present champion scores, too.
        quality: ImageNet_Quality.
        model: The trained metrifier.
        metrics: Its metrics.
        report: Its report.
        evaluated: The predictions behind it.
        registered: Name, version and whether it is the champion, as JSON.
        model_card: The model's card.
    """
    from pathlib import Path

    from metrifier_core.stages.register_metrifier import register_metrifier as run_stage
    from metrifier_core.tracking import PipelineRun, log_stage

    run = PipelineRun()
    summary = run_stage(
        run,
        tracking,
        [Path(shard.path) for shard in versions],
        Path(quality.path),
        Path(model.path),
        Path(metrics.path),
        Path(report.path),
        Path(evaluated.path),
        Path(model_card.path),
        Path(registered.path),
    )
    registered.metadata.update(summary)
    log_stage(run, "register_metrifier", tracking, summary)
