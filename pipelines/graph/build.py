"""Which graph a config asks for."""

from typing import Any

from metrifier_core.config.run import RunConfig
from pipelines.graph.families_pipeline import build_families_pipeline
from pipelines.graph.metrifier_pipeline import build_pipeline
from pipelines.graph.site import Site


def build_graph(config: RunConfig, site: Site) -> Any:
    """Builds the pipeline of a config: one metrifier, or one for every family of workers held out.

    Args:
        config: What to run.
        site: Where its tasks run.

    Returns:
        A KFP pipeline; its parameters are the sections of a config.
    """
    if config.held_out_families:
        return build_families_pipeline(config.held_out_families, site)
    return build_pipeline(site)
