"""The MLflow server of a run, and how it may be written down."""

import ipaddress
import os
from urllib.parse import urlsplit

from metrifier_core.config.run import TrackingSettings
from metrifier_core.settings.credentials import without_credentials

_DATABRICKS = "databricks"  # what a whole address is to MLflow, with `databricks://PROFILE`


def tracking_server(settings: TrackingSettings) -> str | None:
    """Finds the server that the config names or, where it names none, the environment."""
    return settings.uri or os.environ.get("MLFLOW_TRACKING_URI")


def check_seen_by_pods(uri: str) -> None:
    """Refuses the address of a server that only this machine can mean.

    Raises:
        ValueError: It is a file, a database in a file, or this machine itself.
    """
    parts = urlsplit(uri)
    if uri == _DATABRICKS:
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
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
