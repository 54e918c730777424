"""What a compiled pipeline names that pods may not find; they would fail late, so it is said at once."""

from collections.abc import Iterator
from dataclasses import asdict

from metrifier_core.config.run import RunConfig
from pipelines.graph.images import Images
from pipelines.local_paths import named_paths
from pipelines.tracking_server import tracking_server


def portability_warnings(config: RunConfig, images: Images) -> Iterator[str]:
    """Finds what is missing or stands on this machine alone.

    Args:
        config: What was compiled.
        images: Container images of the stages.

    Yields:
        A sentence each: on images that no registry has, an MLflow server that is not named, and every local path.
    """
    unpublished = [image for image in asdict(images).values() if image in asdict(Images()).values()]
    if unpublished:
        yield f"in no registry: {', '.join(unpublished)}; push yours and name them with --image"
    if not tracking_server(config.tracking):
        yield (
            "no MLflow server is named, which registering needs at the very end: name one in tracking.uri or "
            "MLFLOW_TRACKING_URI, or have the pods' environment name it"
        )
    for key, path in named_paths(config):
        yield f"{key}: {path} is a path of this machine; pods see it only where their image holds it: name a URI"
