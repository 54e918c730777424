"""How long MLflow is waited for where nothing depends on its answer."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT

# A server that swallows what it is sent would else be waited for as MLflow has it: two minutes a try.
_BRIEFLY = {MLFLOW_HTTP_REQUEST_MAX_RETRIES.name: 1, MLFLOW_HTTP_REQUEST_TIMEOUT.name: 10}


@contextmanager
def asked_briefly() -> Iterator[None]:
    """Has requests inside the context tried twice, for ten seconds each, or for less where the environment says so."""
    before = {name: os.environ.get(name) for name in _BRIEFLY}
    os.environ.update({name: str(min(most, int(before[name] or most))) for name, most in _BRIEFLY.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
