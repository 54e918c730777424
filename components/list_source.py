"""The beginning of a run: whether it can be run, and what its source holds."""

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
    """Opens the run in MLflow, checks its parameters and lists its source.

    What stages read is not told from what they read in an earlier run by a name or an address: the name is handed to no
    other stage that a cache should know again, and other images at the same address give another digest.

    Args:
        name: Name of the run.
        experiment: MLflow experiment.
        seed: The run's seed.
        shards: Number of shards.
        source: Where the images come from.
        splits: How source images are shared out.
        distortions: Types, severities and how many of them.
        workers: Label workers, held-out workers and their catalogue.
        worker_groups: The names of all workers, a list for those that share a task.
        merge: How the label workers' probabilities become one number.
        metrifier: Architecture and training.
        evaluation: How the metrifier is judged.
        tracking: Name of the registered model; empty where none is registered.
        families: Those that the graph holds out one after the other.

    Returns:
        A digest of what the source holds.
    """
    from metrifier_core.stages.list_source import list_source as run_stage
    from metrifier_core.tracking import PipelineRun, open_run

    open_run(PipelineRun(name, experiment))
    config = {
        "name": name,
        "seed": seed,
        "shards": shards,
        "source": source,
        "splits": splits,
        "distortions": distortions,
        "workers": workers,
        "merge": merge,
        "metrifier": metrifier,
        "evaluation": evaluation,
        "tracking": tracking,
    }
    listing: str = run_stage(config, worker_groups, families)["listing"]
    return listing
