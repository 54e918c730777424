"""The component that evaluates workers on one shard."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def worker_evaluate(
    workers: list[str], prepared: Input[Model], versions: Input[Dataset], losses: Output[Dataset]
) -> None:
    """Run workers on the versions of one shard; held-out workers see test versions alone.

    Args:
        workers: Names of the workers.
        prepared: The workers.
        versions: The versions of the shard.
        losses: True-class probability, loss, cross-entropy and more for each version, beside the tasks' summaries.
    """
    from pathlib import Path

    from metrifier_core.stages.running import ShardSummary
    from metrifier_core.stages.worker_evaluate import worker_evaluate as run_stage

    folder = Path(losses.path)
    summary = run_stage(Path(prepared.path), workers, Path(versions.path), folder)
    # The stages after it get the losses alone, so that they need not fetch the versions.
    distort = ShardSummary.read(Path(versions.path)).distort
    ShardSummary(distort=distort, versions=versions.uri, worker_evaluate=[summary]).write(folder)
