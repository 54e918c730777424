"""The component that joins the losses of all workers on one shard."""

from typing import List  # noqa: UP035

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def join_losses(
    parts: Input[List[Dataset]],  # noqa: UP006
    losses: Output[Dataset],
) -> None:
    """Join the losses of all workers on one shard into one table.

    Args:
        parts: A table for each group of workers.
        losses: The joined table, beside the summaries of the shard's tasks.
    """
    from pathlib import Path

    from metrifier_core.stages.join_losses import join_losses as run_stage
    from metrifier_core.stages.running import ShardSummary

    folders, output = [Path(part.path) for part in parts], Path(losses.path)
    run_stage(folders, output)
    summaries = [ShardSummary.read(folder) for folder in folders]
    evaluated = [task for summary in summaries for task in summary.worker_evaluate]
    summaries[0].model_copy(update={"worker_evaluate": evaluated}).write(output)
