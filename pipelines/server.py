"""The MLflow server of a run, and how it may be written down."""

import os
from urllib.parse import urlsplit

from metrifier_core.config import TrackingSettings

__all__ = ["tracking_server", "without_credentials"]


def tracking_server(settings: TrackingSettings) -> str | None:
    """Finds the server that the config names or, where it names none, the environment."""
    return settings.uri or os.environ.get("MLFLOW_TRACKING_URI")


def without_credentials(uri: str) -> str:
    """Leaves user and password out of a server's address, for everything that is written to a file."""
    netloc = urlsplit(uri).netloc
    return uri.replace(netloc, netloc.rpartition("@")[2], 1) if "@" in netloc else uri
