"""A Kubeflow Pipelines server; every failure becomes an error of one sentence."""

import contextlib
import io
import logging
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from metrifier_core.config.cluster import STAGES

_POLL_SECONDS = 5.0
_MAX_ABSENCE = 300.0  # seconds without an answer after which watching gives up
_REQUEST_TIMEOUT = 60  # whole seconds
_FINAL_STATES = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
_REMEDIES = {
    401: "it requires authentication: set KF_PIPELINES_TOKEN",
    403: "access is denied: ask for the rights, or name another --namespace",
    404: "there is no Kubeflow Pipelines at this address: check --endpoint",
}


class KfpServerError(RuntimeError):
    """A request that failed, in one sentence."""


class _AccessError(KfpServerError):
    """A request that the server does not allow, so that a retry is useless."""


class Outcome(NamedTuple):
    """The end of a run.

    Attributes:
        state: SUCCEEDED, FAILED, SKIPPED or CANCELED.
        reason: What failed and why, as far as the server knows.
    """

    state: str
    reason: str


class KfpServer:
    """A Kubeflow Pipelines server."""

    def __init__(self, endpoint: str, namespace: str | None, token: str | None) -> None:
        """Connect to the server.

        Args:
            endpoint: Its URL.
            namespace: The user's namespace in a multi-user installation.
            token: Bearer token.

        Raises:
            KfpServerError: The server does not answer, or denies access.
        """
        from kfp import Client
        from kfp_server_api import ApiClient, Configuration, HealthzServiceApi

        self._endpoint = endpoint.rstrip("/")
        self._namespace = namespace
        configuration = Configuration(host=self._endpoint)
        if token is not None:
            configuration.api_key["authorization"] = token
            configuration.api_key_prefix["authorization"] = "Bearer"
        with self._one_sentence(), warnings.catch_warnings():
            # The SDK's own health check tries five times and then reports a timeout, whatever the cause.
            HealthzServiceApi(ApiClient(configuration)).healthz_service_get_healthz(_request_timeout=_REQUEST_TIMEOUT)
            warnings.simplefilter("ignore", FutureWarning)
            self._client = Client(host=self._endpoint, existing_token=token)
        _limit_requests(self._client.runs.api_client.rest_client)

    def __repr__(self) -> str:
        return f"KfpServer({self._endpoint!r}, namespace={self._namespace!r})"

    def submit(self, package: Path, arguments: Mapping[str, Any], run_name: str, experiment: str) -> str:
        """Start a run.

        Args:
            package: The compiled pipeline.
            arguments: Parameters that differ from its defaults.
            run_name: Name of the run.
            experiment: Kubeflow's experiment, which is created if it does not exist.

        Returns:
            The run's ID.

        Raises:
            KfpServerError: The server refused the run.
        """
        with self._one_sentence(), contextlib.redirect_stdout(io.StringIO()):  # the SDK prints links
            run = self._client.create_run_from_pipeline_package(
                str(package),
                arguments=dict(arguments),
                run_name=run_name,
                experiment_name=experiment,
                namespace=self._namespace,
            )
            if not run.run_id:
                raise ValueError("the run has no ID")
        return str(run.run_id)

    def link(self, run_id: str) -> str:
        """Return the address of a run's page."""
        return f"{self._endpoint}/#/runs/details/{run_id}"

    def watch(self, run_id: str, report: Callable[[str], None]) -> Outcome:
        """Wait for the end of a run; the SDK's own wait would not end with a run that is cancelled.

        Args:
            run_id: The run's ID.
            report: Called with a line for each change of state.

        Raises:
            KfpServerError: The server has not answered for five minutes, or denies access.
        """
        state, last_answer, absent = "", time.monotonic(), False
        while True:
            try:
                with self._one_sentence():
                    run = self._client.runs.run_service_get_run(run_id)
            except _AccessError:
                raise
            except KfpServerError as error:
                if time.monotonic() - last_answer > _MAX_ABSENCE:
                    raise
                if not absent:
                    report(f"{error}; asking again for up to {_MAX_ABSENCE / 60:.0f} minutes")
                absent = True
            else:
                last_answer, absent = time.monotonic(), False
                if run.state and run.state != state:
                    state = run.state
                    report(f"State:    {state.lower()}")
                if state in _FINAL_STATES:
                    return Outcome(state, _reason(run))
            time.sleep(_POLL_SECONDS)

    @contextlib.contextmanager
    def _one_sentence(self) -> Iterator[None]:
        """Turn the errors of a request into a `KfpServerError`."""
        from kfp_server_api import ApiException
        from urllib3.exceptions import HTTPError

        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        try:
            yield
        except ApiException as error:
            remedy = _REMEDIES.get(error.status, f"it says: {_first_line(error.body)}")
            denied = _AccessError if error.status in {401, 403} else KfpServerError
            raise denied(f"{self._endpoint} answers {error.status} {error.reason}: {remedy}") from error
        except (HTTPError, TimeoutError, OSError) as error:
            cause = getattr(error, "reason", None) or error
            raise KfpServerError(f"{self._endpoint} does not answer: {_first_line(str(cause))}") from error
        except ValueError as error:
            raise KfpServerError(f"{self._endpoint} does not answer as Kubeflow Pipelines does: {error}") from error


def _limit_requests(rest_client: Any) -> None:
    """Give every request of the SDK a timeout: it has none, and takes one as an argument of single calls alone."""
    request = rest_client.request

    def request_in_time(*arguments: Any, _request_timeout: Any = None, **keywords: Any) -> Any:
        return request(*arguments, _request_timeout=_request_timeout or _REQUEST_TIMEOUT, **keywords)

    rest_client.request = request_in_time


def _first_line(body: Any) -> str:
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    return text.strip().partition("\n")[0][:300] or "nothing"


# A component's second task is `merge-dataset-2`; its pod is prepared by a task `merge-dataset-2-driver`.
_TASK = re.compile(r"(?P<component>.+?)(-\d+)?(-driver)?(\(\d+\))?")


def _reason(run: Any) -> str:
    """Name the stages that failed; released servers leave out why (kubeflow/pipelines #14007)."""
    tasks = run.run_details.task_details if run.run_details and run.run_details.task_details else []
    failed = [task for task in tasks if task.state == "FAILED"]
    # Tasks mirror Argo's nodes: a stage is a node above its tries, which are all called `executor`.
    stages = [(task, stage) for task in failed if (stage := _stage_of(task.display_name)) is not None]
    leaves = [(task, task.display_name) for task in failed if not task.child_tasks]
    reasons = [
        f"{name} failed" + (f" ({task.error.message})" if task.error and task.error.message else "")
        for task, name in stages or leaves
    ]
    if run.error and run.error.message:
        reasons.append(run.error.message)
    # A stage has a task for each shard and try.
    return "; ".join(dict.fromkeys(reasons)) or "the server gives no reason"


def _stage_of(task: str | None) -> str | None:
    match = _TASK.fullmatch(task or "")
    stage = match["component"].replace("-", "_") if match else None
    return stage if stage in STAGES else None
