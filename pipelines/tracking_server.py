"""The MLflow server of a run."""

import ipaddress
import os
from urllib.parse import urlsplit

from metrifier_core.config.run import TrackingSettings
from metrifier_core.settings.credentials import without_credentials

SERVER_FILE = ".mlflow"
"""A file in a run's folder that names the MLflow server which the run logs to."""


def tracking_server(settings: TrackingSettings) -> str | None:
    """Return the server that the config names or, if it names none, the environment."""
    return settings.uri or os.environ.get("MLFLOW_TRACKING_URI")


def check_seen_by_pods(uri: str) -> None:
    """Raise if pods cannot reach a server.

    Raises:
        ValueError: It is a file, a database in a file, or this machine itself.
    """
    parts = urlsplit(uri)
    if uri == "databricks":  # a whole address to MLflow, as `databricks://PROFILE` is
        return
    if parts.scheme in {"", "file"} or parts.scheme.startswith("sqlite"):
        where = "a file of this machine"
    elif _is_this_machine(parts.hostname or ""):
        where = "this machine"
    else:
        return
    raise ValueError(
        f"the MLflow server {without_credentials(uri)} is {where}, where no pod sees it: name one that the cluster "
        "reaches, in tracking.uri or MLFLOW_TRACKING_URI"
    )


def _is_this_machine(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
