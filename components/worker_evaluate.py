"""The losses of some workers on one shard."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def worker_evaluate(
    workers: list[str], prepared: Input[Model], versions: Input[Dataset], losses: Output[Dataset]
) -> None:
    """Runs workers on the versions of one shard; a held-out worker sees test versions alone.

    Args:
        workers: Names of the workers.
        prepared: The workers.
        versions: The versions of the shard.
        losses: True-class probability, loss, cross-entropy and more, a row a version; its metadata names these.
    """
    import json
    from pathlib import Path

    from metrifier_core.stages.worker_evaluate import worker_evaluate as run_stage

    summary = run_stage(Path(prepared.path), workers, Path(versions.path), Path(losses.path))
    # What comes next is handed the losses alone, so that it need not fetch the versions to know of them. The engine's
    # store gives nested metadata back in another shape: JSON survives it.
    losses.metadata.update(
        worker_evaluate=json.dumps(summary), distort=json.dumps(versions.metadata), versions=versions.uri
    )
