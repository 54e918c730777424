"""Warnings about what a compiled pipeline names and pods may not find, which would fail late."""

from collections.abc import Iterator
from dataclasses import asdict

from metrifier_core.config.run import RunConfig
from pipelines.graph.images import Images
from pipelines.local_paths import named_paths
from pipelines.tracking_server import tracking_server


def portability_warnings(config: RunConfig, images: Images) -> Iterator[str]:
    """Yield a sentence for what is missing, or exists on this machine alone.

    Args:
        config: The compiled config.
        images: Container images of the stages.
    """
    built_here = asdict(Images()).values()
    unpublished = [image for image in asdict(images).values() if image in built_here]
    if unpublished:
        yield f"in no registry: {', '.join(unpublished)}; push yours and name them with --image"
    if not tracking_server(config.tracking):
        yield (
            "no MLflow server is named, which registration needs at the end: name one in tracking.uri or "
            "MLFLOW_TRACKING_URI, or in the pods' environment"
        )
    for key, path in named_paths(config):
        yield f"{key}: {path} is a path of this machine; pods see it only if their image holds it: name a URI"
