"""A small server with the part of Kubeflow Pipelines' v2beta1 API that a submission needs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

EXPERIMENT = "11111111-1111-1111-1111-111111111111"
RUN = "22222222-2222-2222-2222-222222222222"
CREATED = "2026-01-01T00:00:00Z"


def _node(name: str, state: str, *children: str) -> dict[str, Any]:
    """Return a task as released servers show it: a node of Argo's, without an error and without its own pod's name."""
    return {"display_name": name, "state": state, "child_tasks": [{"pod_name": child} for child in children]}


def failed_tasks(*stages: str) -> list[dict[str, Any]]:
    """Return the nodes of a run in which tasks failed, each after two tries; a component's second task ends with -2."""
    tasks = [
        _node("metrifier-x7k2p", "FAILED", "root-driver"),
        _node("root-driver", "SUCCEEDED", "root"),
        _node("root", "FAILED", "stages-driver"),
        _node("stages", "FAILED", "download-driver"),
        _node("download-driver", "SUCCEEDED", "download"),
        _node("download", "SUCCEEDED", "download-executor"),
        _node("executor", "SUCCEEDED", "download-executor-0"),
        _node("executor(0)", "SUCCEEDED"),
    ]
    for stage in stages:
        tasks += [
            _node(f"{stage}-driver", "SUCCEEDED", stage),
            _node(stage, "FAILED", f"{stage}-executor"),
            _node("executor", "FAILED", f"{stage}-executor-0", f"{stage}-executor-1"),
            _node("executor(0)", "FAILED"),
            _node("executor(1)", "FAILED"),
        ]
    return tasks


@dataclass
class RunService:
    """The requests that were posted, and the answers to give.

    Attributes:
        url: The server's address.
        posted: Bodies of the runs that were created.
        authorizations: The header of every request.
        states: States of the run, one for each request; the last one stays.
        tasks: Tasks of a run that failed.
        failures: Number of requests for the run that are answered with 502 first.
        silences: Methods and paths whose requests are never answered, such as "POST runs".
        closing: Set when the server ends.
        refusals: Status and body by path, instead of the usual answers.
    """

    url: str = ""
    posted: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    states: list[str] = field(default_factory=lambda: ["RUNNING", "SUCCEEDED"])
    tasks: list[dict[str, Any]] = field(default_factory=lambda: failed_tasks("train-metrifier"))
    failures: int = 0
    silences: set[str] = field(default_factory=set)
    closing: threading.Event = field(default_factory=threading.Event)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)

    def answer(  # noqa: PLR0911, one for each address
        self, method: str, path: str, body: dict[str, Any]
    ) -> tuple[int, Any]:
        """Answer one request."""
        for prefix, (status, text) in self.refusals.items():
            if path.startswith(prefix):
                return status, text
        match method, path.removeprefix("/apis/v2beta1/").split("/"):
            case "GET", ["healthz"]:
                return 200, {"multi_user": False}
            case "GET", ["experiments"]:
                return 200, {}
            case "POST", ["experiments"]:
                return 200, {**body, "experiment_id": EXPERIMENT}
            case "POST", ["runs"]:
                self.posted.append(body)
                return 200, {**body, "run_id": RUN, "state": "PENDING", "created_at": CREATED}
            case "GET", ["runs", _]:
                if self.failures:
                    self.failures -= 1
                    return 502, "bad gateway"
                state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
                details = {"task_details": self.tasks} if state == "FAILED" else {}
                return 200, {"run_id": RUN, "state": state, "run_details": details, "created_at": CREATED}
        return 404, {"message": f"nothing at {path}"}


@contextmanager
def serve() -> Iterator[RunService]:
    """Run a server on a free port of this machine."""
    service = RunService()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            service.authorizations.append(self.headers.get("authorization"))
            if f"{self.command} {urlsplit(self.path).path.removeprefix('/apis/v2beta1/')}" in service.silences:
                service.closing.wait()
                return
            status, found = service.answer(self.command, urlsplit(self.path).path, body)
            data = (found if isinstance(found, str) else json.dumps(found)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, *_: Any) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        service.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
