"""A tracking server with artifacts on S3, as in `mlflow/kubernetes`: its clients need no key to the bucket."""

from collections.abc import Iterator

import boto3
import pytest

from tests.helpers.run_products import write_products
from tests.helpers.source_servers import s3_server
from tests.helpers.tracking_servers import tracking_server

KEYS = {"AWS_ACCESS_KEY_ID": "of-the-server", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


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
    environment = {**KEYS, "MLFLOW_S3_ENDPOINT_URL": s3}
    with tracking_server(tmp_path, "--artifacts-destination", "s3://artifacts", environment=environment) as url:
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
