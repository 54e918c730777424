"""A tracking server with its artifacts on S3, as `mlflow/kubernetes` has it: who logs needs no key to the bucket."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
import requests

from tests.core.run_products import write_products
from tests.core.source_servers import s3_server

KEYS = {"AWS_ACCESS_KEY_ID": "of-the-server", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def tracking_server(folder: Path, s3: str) -> Iterator[str]:
    """Serves MLflow, its artifacts going to the bucket `artifacts`; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", "s3://artifacts"]
    environment = {**os.environ, **KEYS, "MLFLOW_S3_ENDPOINT_URL": s3}
    with (folder / "log.txt").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(120):
                try:
                    if requests.get(f"{url}/health", timeout=5).ok:
                        break
                except requests.ConnectionError:
                    assert server.poll() is None, (folder / "log.txt").read_text()
                time.sleep(0.5)
            yield url
        finally:
            os.killpg(server.pid, 15)
            server.wait(30)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, object]]:
    with s3_server() as url:
        client = boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=KEYS["AWS_DEFAULT_REGION"],
        )
        client.create_bucket(Bucket="artifacts")
        for name in KEYS:
            monkeypatch.delenv(name, raising=False)
        yield url, client


def test_a_models_files_go_to_the_bucket_and_come_back(tmp_path, bucket, monkeypatch):
    s3, client = bucket
    products = write_products(tmp_path)
    for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "METRIFIER_RUN_ID"):
        monkeypatch.delenv(variable, raising=False)
    with tracking_server(tmp_path, s3) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        from metrifier_core.tracking import PipelineRun, download_model

        registered = products.register(PipelineRun("training", "on S3"), "metrifier", 0.5)
        assert registered["version"] == "1"
        stored = [each["Key"] for each in client.list_objects_v2(Bucket="artifacts")["Contents"]]
        for name in ("metrifier.json", "model_card.md", "report.html"):
            assert any(key.endswith(f"/{name}") for key in stored), (name, stored)

        found = download_model("models:/metrifier/1")
        assert {path.name: path.read_bytes() for path in found.iterdir()} == {
            path.name: path.read_bytes() for path in products.model.iterdir()
        }
