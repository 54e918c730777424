"""The component that makes the versions of one shard."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def distort(distortions: dict[str, Any], seed: int, images: Input[Dataset], versions: Output[Dataset]) -> None:
    """Make the distorted versions of one shard of source images.

    Args:
        distortions: Types, severities and how many of them.
        seed: The run's seed.
        images: The shard of source images.
        versions: Their versions, stored losslessly.
    """
    from pathlib import Path

    from metrifier_core.stages.distort import distort as run_stage
    from metrifier_core.stages.running import ShardSummary

    folder = Path(versions.path)
    ShardSummary(distort=run_stage(distortions, seed, Path(images.path), folder)).write(folder)
