"""The part of the graph that fans out: the versions of every shard, evaluated by every worker."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kfp import dsl
from kfp.dsl import Dataset, Input, Model

import components
from pipelines.graph.site import Site


class _ShardTables(NamedTuple):
    """Artifacts of one shard."""

    versions: Dataset
    losses: Dataset


class JudgedShards(NamedTuple):
    """Artifacts that training and evaluation start from.

    Attributes:
        images: The source images.
        rejected: The images that could not be used.
        prepared: The workers.
        collect: Collects a table, `versions` or `losses`, over the shards; the compiler changes the collection, so each
            consumer needs its own.
    """

    images: Any
    rejected: Any
    prepared: Any
    collect: Callable[[str], dsl.Collected]


def build_shard_pipeline(site: Site) -> Any:
    """Build the nested pipeline from a shard's URI to its tables; KFP cannot build it inside another pipeline."""

    @dsl.pipeline(name="evaluate-shard", description="One shard: its versions, and the losses of all workers on them.")
    def evaluate_shard(
        shard: str,
        seed: int,
        distortions: dict[str, Any],
        worker_groups: list[list[str]],
        prepared: Input[Model],
    ) -> _ShardTables:
        # A branch gets the images of its own shard alone.
        images = dsl.importer(artifact_uri=shard, artifact_class=Dataset, reimport=False)
        distorted = site.run(components.distort, distortions=distortions, seed=seed, images=images.output)
        versions = distorted.outputs["versions"]
        with site.loop("workers", worker_groups) as group:
            evaluated = site.run(components.worker_evaluate, workers=group, prepared=prepared, versions=versions)
            # The stage runs an image on each thread, one a core.
            evaluated.set_env_variable("TF_NUM_INTRAOP_THREADS", "1")
        joined = site.run(components.join_losses, parts=dsl.Collected(evaluated.outputs["losses"]))
        return _ShardTables(versions=versions, losses=joined.outputs["losses"])

    return evaluate_shard


def judge_shards(
    site: Site, evaluate_shard: Any, sections: Mapping[str, Any], worker_groups: Any, opening: Mapping[str, Any]
) -> JudgedShards:
    """Add the tasks up to the losses to the pipeline that is being built.

    Args:
        site: Where tasks run.
        evaluate_shard: The result of `build_shard_pipeline`.
        sections: The pipeline's parameters: the run's name and the sections of its config.
        worker_groups: The names of all workers, a list for those that share a task.
        opening: Further inputs of the component that opens the run and checks its whole config.
    """
    sharded = {key: sections[key] for key in ("source", "splits", "seed", "shards")}
    listing: Any = ""
    # On this machine, the runner opens the run, checks the config and lists the source before the pipeline starts.
    if site.cluster:
        listing = site.run(components.list_source, **sections, worker_groups=worker_groups, **opening).output
    downloaded = site.run(components.download, **sharded, listing=listing).outputs
    prepared = site.run(
        components.prepare_workers, workers=sections["workers"], seed=sections["seed"], images=downloaded["images"]
    ).outputs["prepared"]
    with site.loop("shards", downloaded["Output"]) as shard:
        evaluated = evaluate_shard(
            shard=shard,
            seed=sections["seed"],
            distortions=sections["distortions"],
            worker_groups=worker_groups,
            prepared=prepared,
        )
    return JudgedShards(
        downloaded["images"], downloaded["rejected"], prepared, lambda table: dsl.Collected(evaluated.outputs[table])
    )
