"""The component that merges the losses into ImageNet_Quality."""

from typing import Any, List  # noqa: UP035

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def merge_dataset(
    distortions: dict[str, Any],
    merge: dict[str, Any],
    rejected: Input[Dataset],
    prepared: Input[Model],
    losses: Input[List[Dataset]],  # noqa: UP006
    quality: Output[Dataset],
    held_out_family: str = "",
) -> None:
    """Merge the label workers' losses into the quality of every version.

    Args:
        distortions: Types, severities and how many of them.
        merge: How the label workers' probabilities become one number.
        rejected: The images that could not be used.
        prepared: The workers.
        losses: A table for each shard.
        quality: ImageNet_Quality, its card, and the URIs of its tables of versions and losses.
        held_out_family: The fold, if each family is held out once.
    """
    import json
    from pathlib import Path

    from metrifier_core.stages.merge_dataset import merge_dataset as run_stage
    from metrifier_core.stages.running import ShardSummary
    from metrifier_core.tracking import PipelineRun, log_fan_out, log_stage

    folders = [Path(shard.path) for shard in losses]
    accepted = int(rejected.metadata["accepted"])
    summary = run_stage(merge, accepted, Path(rejected.path), Path(prepared.path), folders, Path(quality.path))
    quality.metadata.update(summary)
    shards = [ShardSummary.read(folder) for folder in folders]
    made_from = {"versions": [shard.versions for shard in shards], "losses": [shard.uri for shard in losses]}
    Path(quality.path, "made_from.json").write_text(json.dumps(made_from, indent=2) + "\n")
    run = PipelineRun(held_out_family=held_out_family)
    log_fan_out(run, "distort", distortions, [shard.distort for shard in shards])
    log_fan_out(run, "worker_evaluate", {}, [task for shard in shards for task in shard.worker_evaluate])
    log_stage(run, "merge_dataset", merge, summary)
