"""A Kubeflow Pipelines server; whatever it answers ends as a run or as one sentence."""

import contextlib
import io
import logging
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metrifier_core.config.cluster import STAGES

_SECONDS_BETWEEN_LOOKS = 5.0
_MAX_ABSENCE = 300.0  # seconds without an answer after which watching gives up
_REQUEST_TIMEOUT = 60  # whole seconds that the server may take to answer; the SDK would wait for ever
_TERMINAL = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
_REFUSALS = (401, 403)
_REMEDIES = {
    401: "it wants to know who you are: set KF_PIPELINES_TOKEN",
    403: "you may not do that there: ask for the rights, or name another --namespace",
    404: "there is no Kubeflow Pipelines at this address: check --endpoint",
}


class KfpServerError(RuntimeError):
    """What the server said or did not say, in one sentence."""


class _RefusalError(KfpServerError):
    """The server will not let us: asking again is of no use."""


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        state: SUCCEEDED, FAILED, SKIPPED or CANCELED.
        reason: What failed and why, as far as the server says it.
    """

    state: str
    reason: str


class KfpServer:
    """A Kubeflow Pipelines server."""

    def __init__(self, endpoint: str, namespace: str | None, token: str | None) -> None:
        """Connects.

        Args:
            endpoint: Its address.
            namespace: Of a multi-user installation.
            token: Says who asks.

        Raises:
            KfpServerError: Nothing like that is there, or it does not let us in.
        """
        from kfp import Client

        self._endpoint = endpoint.rstrip("/")
        self._namespace = namespace
        self._look(token)
        with self._plainly(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self._client = Client(host=self._endpoint, existing_token=token)
        _limit_silence(self._client.runs.api_client.rest_client)

    def _look(self, token: str | None) -> None:
        """Asks whether it is there: the SDK asks five times, then says that it timed out whatever was the matter."""
        from kfp_server_api import ApiClient, Configuration, HealthzServiceApi

        configuration = Configuration(host=self._endpoint)
        if token is not None:
            configuration.api_key["authorization"] = token
            configuration.api_key_prefix["authorization"] = "Bearer"
        with self._plainly():
            HealthzServiceApi(ApiClient(configuration)).healthz_service_get_healthz(_request_timeout=_REQUEST_TIMEOUT)

    def submit(self, package: Path, arguments: Mapping[str, Any], run_name: str, experiment: str) -> str:
        """Starts a run.

        Args:
            package: The compiled pipeline.
            arguments: Parameters that differ from its defaults.
            run_name: Name of the run.
            experiment: Kubeflow's experiment; it is made where there is none.

        Returns:
            The run's identity.

        Raises:
            KfpServerError: The server refused it.
        """
        # The SDK prints links of its own.
        with self._plainly(), contextlib.redirect_stdout(io.StringIO()):
            started = self._client.create_run_from_pipeline_package(
                str(package),
                arguments=dict(arguments),
                run_name=run_name,
                experiment_name=experiment,
                namespace=self._namespace,
            )
        if not started.run_id:
            raise KfpServerError(
                f"{self._endpoint} does not answer as Kubeflow Pipelines does: the run has no identity"
            )
        return str(started.run_id)

    def link(self, run_id: str) -> str:
        """Where people look at a run."""
        return f"{self._endpoint}/#/runs/details/{run_id}"

    def watch(self, run_id: str, say: Callable[[str], None]) -> Ended:
        """Waits for the end of a run.

        Args:
            run_id: Its identity.
            say: Told every change of state.

        Returns:
            How it ended. The SDK's own wait does not know that a run can be cancelled.

        Raises:
            KfpServerError: The server has not answered for some minutes, or does not let us in any more.
        """
        state = ""
        answered = time.monotonic()
        absent = False
        while True:
            try:
                with self._plainly():
                    run = self._client.runs.run_service_get_run(run_id, _request_timeout=_REQUEST_TIMEOUT)
            except _RefusalError:
                raise
            except KfpServerError as error:
                if time.monotonic() - answered > _MAX_ABSENCE:
                    raise
                if not absent:
                    say(f"{error}; asking again for up to {_MAX_ABSENCE / 60:.0f} minutes")
                absent = True
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                continue
            answered, absent = time.monotonic(), False
            if run.state and run.state != state:
                state = run.state
                say(f"State:    {state.lower()}")
            if state in _TERMINAL:
                return Ended(state, _reason(run))
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    @contextlib.contextmanager
    def _plainly(self) -> Iterator[None]:
        """Turns whatever goes wrong between us and the server into one sentence."""
        from kfp_server_api import ApiException
        from urllib3.exceptions import HTTPError

        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        try:
            yield
        except ApiException as error:
            remedy = _REMEDIES.get(error.status, f"it says: {_first_line(error.body)}")
            refused = _RefusalError if error.status in _REFUSALS else KfpServerError
            raise refused(f"{self._endpoint} answers {error.status} {error.reason}: {remedy}") from error
        except (HTTPError, TimeoutError, OSError) as error:
            cause = getattr(error, "reason", None) or error
            raise KfpServerError(f"{self._endpoint} does not answer: {_first_line(str(cause))}") from error
        except ValueError as error:
            raise KfpServerError(f"{self._endpoint} does not answer as Kubeflow Pipelines does: {error}") from error


def _limit_silence(requests: Any) -> None:
    """Gives every request of the SDK's a limit: it has none, and no setting for it but an argument of single calls."""
    request = requests.request

    def within_limit(*arguments: Any, _request_timeout: Any = None, **keywords: Any) -> Any:
        return request(*arguments, _request_timeout=_request_timeout or _REQUEST_TIMEOUT, **keywords)

    requests.request = within_limit


def _first_line(text: Any) -> str:
    found = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return found.strip().partition("\n")[0][:300] or "nothing"


# A component's second task is `merge-dataset-2`; what prepares a task's pod is a task too.
_TASK = re.compile(r"(?P<component>.+?)(-\d+)?(-driver)?(\(\d+\))?")


def _reason(run: Any) -> str:
    """Names the stages that failed; why is what released servers leave out (kubeflow/pipelines #14007)."""
    tasks = run.run_details.task_details if run.run_details and run.run_details.task_details else []
    failed = [task for task in tasks if task.state == "FAILED"]
    # Tasks mirror the engine's nodes: a stage is a node above its tries, which are all called `executor`.
    stages = [(task, stage) for task in failed if (stage := _stage_of(task.display_name)) is not None]
    leaves = [(task, task.display_name) for task in failed if not task.child_tasks]
    said = [
        f"{name} failed" + (f" ({task.error.message})" if task.error and task.error.message else "")
        for task, name in stages or leaves
    ]
    if run.error and run.error.message:
        said.append(run.error.message)
    # A stage has many tasks, by shards and tries.
    return "; ".join(dict.fromkeys(said)) or "the server gives no reason"


def _stage_of(task: str | None) -> str | None:
    found = _TASK.fullmatch(task or "")
    stage = found["component"].replace("-", "_") if found else None
    return stage if stage in STAGES else None
