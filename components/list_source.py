"""What a source holds, as a digest."""

from typing import Any

from kfp import dsl

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def list_source(source: dict[str, Any]) -> str:
    """Lists a source, so that other images at the same address are not taken for those of an earlier run.

    Args:
        source: Where the images come from.

    Returns:
        A digest of what it holds.
    """
    from metrifier_core.stages.list_source import list_source as run_stage

    listing: str = run_stage(source)["listing"]
    return listing
