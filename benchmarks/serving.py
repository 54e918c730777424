"""Speed of `mlflow models serve`, and a check that every answer is the metrifier's own.

    python benchmarks/serving.py --model models:/metrifier@champion
    python benchmarks/serving.py --model models:/metrifier/3 --requests 2000 --clients 16

The benchmark starts a server on this machine and sends it photographs of 500 x 375 pixels, small images and broken
ones, one or four per request, as base64 and as pixels. Each answer is compared with `Metrifier.load(MODEL).score` of
the same image. Clients and server share the machine's cores.
"""

import argparse
import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import local
from typing import Any

import cv2
import numpy as np
import requests

from metrifier_core import ImageError, Metrifier
from metrifier_core.execution.parallel import batched, parallel_map
from metrifier_core.images import decode_image, encode_png

SECONDS_TO_START = 120
KINDS = 40  # different images
A_BATCH = 4

Answer = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """An image as it is sent, and the expected answer."""

    sent: Any
    due: Answer


@contextmanager
def model_server(model: str, folder: Path) -> Iterator[str]:
    """Serve a model on a free port of this machine.

    Args:
        model: An MLflow URI.
        folder: Folder for the server's log.

    Yields:
        The server's URL, once it answers.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["--model-uri", model, "--host", "127.0.0.1", "--port", str(port)]
    # MLflow starts uvicorn by its name.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with (folder / "server.txt").open("w+") as log:
        server = subprocess.Popen(  # noqa: S603
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, server, folder / "server.txt")
            yield url
        finally:
            os.killpg(server.pid, 15)
            server.wait(30)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while server.poll() is None and time.monotonic() < end:
        try:
            if requests.get(f"{url}/ping", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.2)
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")


def make_cases(metrifier: Metrifier, rng: np.random.Generator) -> list[Case]:
    """Make images, every fourth of them broken, with the metrifier's answer for each."""
    cases = []
    for index in range(KINDS):
        side = int(rng.integers(8, 65))
        height, width = (375, 500) if index % 2 else (side, side + 7)
        field = rng.normal(128, 50, (height // 8 + 1, width // 8 + 1, 3))
        pixels = np.clip(cv2.resize(field, (width, height)), 0, 255).astype(np.uint8)
        jpeg = bytes(cv2.imencode(".jpg", pixels)[1])
        data = jpeg if index % 2 else encode_png(pixels)
        cases.append(_case(metrifier, data, index))
    return cases


def _case(metrifier: Metrifier, data: bytes, index: int) -> Case:
    """Encode an image in one of the forms that a request may have."""
    match index % 8:
        case 3:
            data = data[: len(data) // 2]
        case 7:
            return Case("%%%", {"quality": None, "error": "not base64: Only base64 data is allowed"})
        case 0:
            pixels = decode_image(data)
            return Case(pixels.tolist(), {"quality": metrifier(pixels), "error": None})
    try:
        due: Answer = {"quality": metrifier(decode_image(data)), "error": None}
    except ImageError as error:
        due = {"quality": None, "error": str(error)}
    return Case(base64.b64encode(data).decode(), due)


def send(url: str, cases: Sequence[Sequence[Case]], clients: int) -> tuple[int, int, list[float]]:
    """Send requests, several at a time.

    Args:
        url: The server's URL.
        cases: The images of each request.
        clients: Number of concurrent requests.

    Returns:
        The number of requests with a wrong answer, the number of expected errors, and the seconds of each request.
    """
    own = local()

    def ask(request: Sequence[Case]) -> tuple[bool, int, float]:
        if not hasattr(own, "session"):
            own.session = requests.Session()
        body = {"dataframe_split": {"columns": ["image"], "data": [[case.sent] for case in request]}}
        start = time.perf_counter()
        response = own.session.post(f"{url}/invocations", json=body, timeout=120)
        seconds = time.perf_counter() - start
        due = [case.due for case in request]
        right = response.status_code == requests.codes.ok and response.json() == {"predictions": due}
        return right, sum(answer["error"] is not None for answer in due), seconds

    answers = list(parallel_map(ask, cases, clients))
    return (
        sum(not right for right, _, _ in answers),
        sum(errors for _, errors, _ in answers),
        [seconds for _, _, seconds in answers],
    )


def make_requests(cases: Sequence[Case], count: int, rng: np.random.Generator) -> list[list[Case]]:
    """Draw the images of each request: one, or four for every fifth request."""
    drawn = [cases[index] for index in rng.integers(0, len(cases), count * A_BATCH)]
    return [batch if index % 5 == 0 else batch[:1] for index, batch in enumerate(batched(drawn, A_BATCH))]


def main() -> None:
    """Print the figures and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models:/metrifier@champion")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--output", type=Path, default=Path("build/serving.json"))
    arguments = parser.parse_args()

    rng = np.random.default_rng(0)
    metrifier = Metrifier.load(arguments.model)
    asked = make_requests(make_cases(metrifier, rng), arguments.requests, rng)
    with tempfile.TemporaryDirectory() as folder, model_server(arguments.model, Path(folder)) as url:
        send(url, asked[:50], arguments.clients)
        start = time.perf_counter()
        wrong, errors, taken = send(url, asked, arguments.clients)
        seconds = time.perf_counter() - start
    images = sum(map(len, asked))
    result = {
        "requests": len(asked),
        "clients": arguments.clients,
        "images": images,
        "broken_images": errors,
        "wrong": wrong,
        "requests_per_second": len(asked) / seconds,
        "images_per_second": images / seconds,
        "p50_ms": 1000 * float(np.percentile(taken, 50)),
        "p99_ms": 1000 * float(np.percentile(taken, 99)),
        "architecture": metrifier.card.architecture,
        "runtime": metrifier.runtime,
        "cores": os.cpu_count(),
    }
    for name, value in result.items():
        print(f"{name:20} {value:.1f}" if isinstance(value, float) else f"{name:20} {value}")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
