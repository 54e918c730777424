"""The losses of all workers on one shard."""

from typing import List  # noqa: UP035

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def join_losses(
    versions: Input[Dataset],
    parts: Input[List[Dataset]],  # noqa: UP006
    losses: Output[Dataset],
) -> None:
    """Puts the losses of all workers on one shard into one table.

    Args:
        versions: The versions of the shard.
        parts: A table a worker.
        losses: The one table; its metadata keeps what the shard's tasks counted.
    """
    from pathlib import Path

    from metrifier_core.records import shard_of
    from metrifier_core.stages.join_losses import join_losses as run_stage
    from metrifier_core.stages.running import only_table

    folders = [Path(part.path) for part in parts]
    shard = shard_of(only_table(folders[0], "losses"))
    losses.metadata.update(run_stage(folders, shard, Path(losses.path)))
    losses.metadata["versions"] = versions.uri
    losses.metadata["distort"] = versions.metadata
    losses.metadata["worker_evaluate"] = [part.metadata for part in parts]
