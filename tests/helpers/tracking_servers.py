"""MLflow's own server, and what stands before it when a network fails."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

_TIMEOUT = 120


@contextmanager
def tracking_server(folder: Path, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Serve MLflow from a database in a folder; yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", *options]
    with (folder / "log.txt").open("wb") as log:
        server = subprocess.Popen(
            command,
            cwd=folder,
            # Nothing here is what its background jobs work on, ten processes that start with it.
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **(environment or {})},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(600):
                try:
                    if requests.get(f"{url}/health", timeout=5).ok:
                        break
                except (requests.ConnectionError, requests.Timeout):
                    assert server.poll() is None, (folder / "log.txt").read_text()
                time.sleep(0.5)
            yield url
        finally:
            os.killpg(server.pid, 15)
            server.wait(120)


class Door:
    """Stands before a server: it lets requests through, answers them with 500, or hangs up.

    Attributes:
        url: Its own address.
        state: "open", "broken" or "shut"; may be changed at any time.
        left: How many requests it lets through before it shuts itself; None for any number.
        passed: How many requests it has let through.
    """

    def __init__(self, server: str) -> None:
        self.state = "open"
        self.left: int | None = None
        self.passed = 0
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def _pass_on(self) -> None:
                body = self._body()
                if door.left is not None:
                    door.left -= 1
                    if door.left < 0:
                        door.state, door.left = "shut", None
                if door.state == "shut":
                    self.close_connection = True
                    return
                if door.state == "broken":
                    self.send_error(500)
                    return
                own = {"host", "content-length", "transfer-encoding"}
                headers = {name: value for name, value in self.headers.items() if name.lower() not in own}
                found = requests.request(
                    self.command,
                    server + self.path,
                    data=body,
                    headers=headers,
                    timeout=_TIMEOUT,
                    allow_redirects=False,
                )
                door.passed += 1
                self.send_response(found.status_code)
                self.send_header("Content-Type", found.headers.get("Content-Type", "application/json"))
                self.send_header("Content-Length", str(len(found.content)))
                self.end_headers()
                self.wfile.write(found.content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._serving.server_address[1]}"
        threading.Thread(target=self._serving.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._serving.shutdown()
        self._serving.server_close()


@contextmanager
def door_of(server: str) -> Iterator[Door]:
    """Open a door before a server."""
    door = Door(server)
    try:
        yield door
    finally:
        door.close()
