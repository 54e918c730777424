"""The part of the graph that fans out: versions of every shard, judged by every worker."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kfp import dsl
from kfp.dsl import Dataset, Input, Model

import components
from pipelines.graph.site import Site


class _ShardTables(NamedTuple):
    """What comes out of one shard."""

    versions: Dataset
    losses: Dataset


class JudgedShards(NamedTuple):
    """What training and evaluation begin with.

    Attributes:
        images: The source images.
        rejected: Those that could not be used.
        prepared: The workers.
        collect: Collects a table, `versions` or `losses`, over the shards; the compiler changes what it gets, so every
            consumer needs its own.
    """

    images: Any
    rejected: Any
    prepared: Any
    collect: Callable[[str], dsl.Collected]


def build_shard_pipeline(site: Site) -> Any:
    """Builds the part of the graph that every shard goes through; it cannot be built inside of another pipeline.

    Args:
        site: Where tasks run.

    Returns:
        A KFP pipeline from a shard's name to its tables.
    """

    @dsl.pipeline(name="evaluate-shard", description="One shard: its versions, and the losses of all workers on them.")
    def evaluate_shard(
        shard: str,
        seed: int,
        distortions: dict[str, Any],
        worker_groups: list[list[str]],
        prepared: Input[Model],
    ) -> _ShardTables:
        # A branch is handed its own images, not those of all.
        images = dsl.importer(artifact_uri=shard, artifact_class=Dataset, reimport=False)
        distorted = site.run(components.distort, distortions=distortions, seed=seed, images=images.output)
        versions = distorted.outputs["versions"]
        with site.worker_groups(worker_groups) as together:
            evaluated = site.run(components.worker_evaluate, workers=together, prepared=prepared, versions=versions)
            # The stage has a thread a core already; each runs its own image.
            evaluated.set_env_variable("TF_NUM_INTRAOP_THREADS", "1")
        joined = site.run(components.join_losses, parts=dsl.Collected(evaluated.outputs["losses"]))
        return _ShardTables(versions=versions, losses=joined.outputs["losses"])

    return evaluate_shard


def judge_shards(
    site: Site,
    evaluate_shard: Any,
    opening: Mapping[str, Any],
    *,
    seed: int,
    shards: int,
    source: dict[str, Any],
    splits: list[Any],
    distortions: dict[str, Any],
    workers: dict[str, Any],
    worker_groups: list[list[str]],
) -> JudgedShards:
    """Adds the tasks up to the losses to the pipeline that is being built.

    Args:
        site: Where tasks run.
        evaluate_shard: What `build_shard_pipeline` built.
        opening: What the component that opens the run gets beside what follows: its name and experiment, and the rest
            of the config, since it checks all of it.
        seed: The run's seed.
        shards: How many branches the source images are spread over.
        source: Where the images come from.
        splits: How source images are shared out.
        distortions: Types, severities and how many of them.
        workers: Label workers, held-out workers and their catalogue.
        worker_groups: The names of all workers, a list for those that share a task.

    Returns:
        The tasks' artifacts.
    """
    sharded = {"source": source, "splits": splits, "seed": seed, "shards": shards}
    listing: Any = ""
    # On this machine whoever starts the pipeline has opened the run, checked the config and listed the source before.
    if site.cluster:
        judged = {"distortions": distortions, "workers": workers, "worker_groups": worker_groups}
        listing = site.run(components.list_source, **opening, **sharded, **judged).output
    downloaded = site.run(components.download, **sharded, listing=listing)
    images = downloaded.outputs["images"]
    prepared = site.run(components.prepare_workers, workers=workers, seed=seed, images=images).outputs["prepared"]
    with site.shards(downloaded.outputs["Output"]) as shard:
        evaluated_shard = evaluate_shard(
            shard=shard,
            seed=seed,
            distortions=distortions,
            worker_groups=worker_groups,
            prepared=prepared,
        )
    rejected = downloaded.outputs["rejected"]
    return JudgedShards(images, rejected, prepared, lambda table: dsl.Collected(evaluated_shard.outputs[table]))
