"""Which graph a config asks for."""

from typing import Any

from components.image import DEFAULT_IMAGE
from metrifier_core.config import RunConfig
from pipelines.families_pipeline import build_families_pipeline
from pipelines.metrifier_pipeline import build_pipeline

__all__ = ["build_graph"]


def build_graph(config: RunConfig, image: str = DEFAULT_IMAGE, tracking_uri: str | None = None) -> Any:
    """Builds the pipeline of a config: one metrifier, or one for every family of workers held out.

    Args:
        config: What to run.
        image: The container image that every component runs in.
        tracking_uri: The MLflow server that tasks log to, where their environment does not name one.

    Returns:
        A KFP pipeline; its parameters are the sections of a config.
    """
    if config.held_out_families:
        return build_families_pipeline(config.held_out_families, image, tracking_uri)
    return build_pipeline(image, tracking_uri)
