"""The losses of all workers on one shard."""

from typing import List  # noqa: UP035

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def join_losses(
    parts: Input[List[Dataset]],  # noqa: UP006
    losses: Output[Dataset],
) -> None:
    """Puts the losses of all workers on one shard into one table.

    Args:
        parts: A table a worker.
        losses: The one table; beside it what the shard's tasks counted.
    """
    from pathlib import Path

    from metrifier_core.stages.join_losses import join_losses as run_stage
    from metrifier_core.stages.running import read_shard_file, write_shard_file

    folders, output = [Path(part.path) for part in parts], Path(losses.path)
    run_stage(folders, output)
    counted = [read_shard_file(folder) for folder in folders]
    evaluated = [task for part in counted for task in part["worker_evaluate"]]
    write_shard_file(output, {**counted[0], "worker_evaluate": evaluated})
