"""The component that opens a run, checks its config and lists its source."""

from typing import Any

from kfp import dsl

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def list_source(
    name: str,
    experiment: str,
    seed: int,
    shards: int,
    source: dict[str, Any],
    splits: list[Any],
    distortions: dict[str, Any],
    workers: dict[str, Any],
    worker_groups: list[list[str]],
    merge: dict[str, Any],
    metrifier: dict[str, Any],
    evaluation: dict[str, Any],
    tracking: dict[str, Any],
    families: list[str],
) -> str:
    """Open the run in MLflow, check its parameters and list its source.

    Other images at the same address give another digest, so that a cache never takes them for those of an earlier run.

    Args:
        name: Name of the run.
        experiment: MLflow experiment.
        seed: The run's seed.
        shards: Number of shards.
        source: Where the images come from.
        splits: How source images are split.
        distortions: Types, severities and how many of them.
        workers: Label workers, held-out workers and their catalogue.
        worker_groups: The names of all workers, a list for those that share a task.
        merge: How the label workers' probabilities become one number.
        metrifier: Architecture and training.
        evaluation: How the metrifier is evaluated.
        tracking: Name of the registered model; empty if none is registered.
        families: Families that the graph holds out one after the other.

    Returns:
        A digest of the source's listing.
    """
    from metrifier_core.stages.list_source import list_source as run_stage
    from metrifier_core.tracking import PipelineRun, open_run

    open_run(PipelineRun(name, experiment))
    data = {"seed": seed, "shards": shards, "source": source, "splits": splits, "distortions": distortions}
    judging = {"workers": workers, "merge": merge, "metrifier": metrifier, "evaluation": evaluation}
    config = {"name": name, **data, **judging, "tracking": tracking}
    listing: str = run_stage(config, worker_groups, families)["listing"]
    return listing
