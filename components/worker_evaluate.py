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
        losses: True-class probability, loss, cross-entropy and more, a row a version; beside it what was counted.
    """
    from pathlib import Path

    from metrifier_core.stages.running import read_shard_file, write_shard_file
    from metrifier_core.stages.worker_evaluate import worker_evaluate as run_stage

    folder = Path(losses.path)
    summary = run_stage(Path(prepared.path), workers, Path(versions.path), folder)
    # What comes next is handed the losses alone, so that it need not fetch the versions to know of them.
    counted = read_shard_file(Path(versions.path))
    write_shard_file(folder, {**counted, "versions": versions.uri, "worker_evaluate": [summary]})
