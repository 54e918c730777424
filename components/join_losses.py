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
        losses: The one table; its metadata keeps what the shard's tasks counted, as JSON.
    """
    import json
    from pathlib import Path

    from metrifier_core.stages.join_losses import join_losses as run_stage

    losses.metadata.update(run_stage([Path(part.path) for part in parts], Path(losses.path)))
    losses.metadata["versions"] = parts[0].metadata["versions"]
    losses.metadata["distort"] = parts[0].metadata["distort"]
    losses.metadata["worker_evaluate"] = json.dumps([json.loads(part.metadata["worker_evaluate"]) for part in parts])
