"""The component that trains a metrifier."""

from typing import Any, List  # noqa: UP035

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def train_metrifier(
    metrifier: dict[str, Any],
    seed: int,
    versions: Input[List[Dataset]],  # noqa: UP006
    quality: Input[Dataset],
    model: Output[Model],
    held_out_family: str = "",
) -> None:
    """Train the metrifier on the training versions, stopping by the validation versions.

    Args:
        metrifier: Architecture and training.
        seed: The run's seed.
        versions: A table for each shard.
        quality: ImageNet_Quality.
        model: The network as Keras and ONNX, its card and its training curves.
        held_out_family: The fold, if each family is held out once.
    """
    from pathlib import Path

    from metrifier_core.data.training_history import TRAINING_HISTORY, TrainingHistory
    from metrifier_core.stages.train_metrifier import train_metrifier as run_stage
    from metrifier_core.tracking import PipelineRun, log_stage, log_system_metrics

    output = Path(model.path)
    run = PipelineRun(held_out_family=held_out_family)
    with log_system_metrics(run, "train_metrifier"):
        summary = run_stage(metrifier, seed, [Path(shard.path) for shard in versions], Path(quality.path), output)
    model.metadata.update(summary)
    history = TrainingHistory.model_validate_json((output / TRAINING_HISTORY).read_bytes())
    log_stage(run, "train_metrifier", metrifier, summary, history.model_dump())
