"""The component that makes shards of a source's images."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Output

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def download(
    source: dict[str, Any],
    splits: list[Any],
    seed: int,
    shards: int,
    images: Output[Dataset],
    rejected: Output[Dataset],
    listing: str = "",
) -> list[str]:
    """Read, check, split and shard the source images.

    Args:
        source: Where the images come from.
        splits: How source images are split.
        seed: The run's seed.
        shards: Number of shards to make.
        images: The shards.
        rejected: The images that could not be used.
        listing: Digest of what the source holds, for the engine's cache, which sees inputs alone.

    Returns:
        URIs of the shards, one for each branch of the pipeline.
    """
    from pathlib import Path

    from metrifier_core.data.records import shard_file, shard_name
    from metrifier_core.stages.download import download as run_stage
    from metrifier_core.tracking import PipelineRun, log_stage

    summary = run_stage(source, splits, seed, shards, Path(images.path), Path(rejected.path))
    images.metadata.update(summary)
    rejected.metadata["accepted"] = summary["accepted"]
    parameters = {"source": source, "seed": seed, "shards": shards, **({"listing": listing} if listing else {})}
    log_stage(PipelineRun(), "download", parameters, summary)
    names = [shard_file(Path(), "images", shard_name(index, shards)).name for index in range(shards)]
    return [f"{images.uri}/{name}" for name in names]
