"""The component that assigns the workers' roles of one fold."""

from typing import Any

from kfp import dsl
from kfp.dsl import Input, Model, Output

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def hold_out_family(
    workers: dict[str, Any],
    family: str,
    prepared: Input[Model],
    roles: Output[Model],
) -> dict[str, Any]:
    """Hold one family of workers out of the labels.

    Args:
        workers: All workers and their catalogue.
        family: The family to hold out.
        prepared: The workers.
        roles: The workers' cards without their weights, with the roles of this fold.

    Returns:
        Label workers, held-out workers and their catalogue.
    """
    from pathlib import Path

    from metrifier_core.stages.hold_out_family import hold_out_family as run_stage

    summary = run_stage(workers, family, Path(prepared.path), Path(roles.path))
    fold: dict[str, Any] = summary["workers"]
    return fold
