"""Short timeouts for requests to MLflow whose answer nothing depends on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT

# MLflow's own are two minutes a try for a server that accepts connections and never answers.
_LIMITS = {MLFLOW_HTTP_REQUEST_MAX_RETRIES.name: 1, MLFLOW_HTTP_REQUEST_TIMEOUT.name: 10}


@contextmanager
def short_timeouts() -> Iterator[None]:
    """Limit requests inside the context to two tries of ten seconds; lower limits in the environment stay."""
    before = {name: os.environ.get(name) for name in _LIMITS}
    os.environ.update({name: str(min(limit, int(before[name] or limit))) for name, limit in _LIMITS.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
