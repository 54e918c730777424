"""The beginning of a run: what its source holds."""

from typing import Any

from kfp import dsl

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def list_source(name: str, experiment: str, source: dict[str, Any]) -> str:
    """Opens the run in MLflow and lists its source.

    What stages read is not told from what they read in an earlier run by a name or an address: the name is handed to no
    other stage that a cache should know again, and other images at the same address give another digest.

    Args:
        name: Name of the run.
        experiment: MLflow experiment.
        source: Where the images come from.

    Returns:
        A digest of what it holds.
    """
    from metrifier_core.stages.list_source import list_source as run_stage
    from metrifier_core.tracking import PipelineRun, open_run

    open_run(PipelineRun(name, experiment))
    listing: str = run_stage(source)["listing"]
    return listing
