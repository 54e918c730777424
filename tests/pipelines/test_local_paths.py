"""What containers see of this machine: what the config names, and nothing that only looks like a path."""

import json

import pytest

from metrifier_core.config.run import load_config
from metrifier_core.images import encode_png
from pipelines.local_paths import folders_to_mount, named_paths
from tests.helpers.bad_images import picture


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch):
    for variable in ("GOOGLE_APPLICATION_CREDENTIALS", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(variable, raising=False)


def load(folder, source):
    (folder / "config.yaml").write_text(
        json.dumps(
            {
                "name": "paths",
                "source": source,
                "splits": [{"calibration": 0.2, "train": 0.4, "validation": 0.2, "test": 0.2}],
                "workers": {"label": ["resnet50"], "held_out": ["vgg16"]},
            }
        )
    )
    return load_config(folder / "config.yaml", [])


def test_folders_urls_and_patterns_are_found(tmp_path):
    data = tmp_path / "my data"
    (data / "a").mkdir(parents=True)
    (data / "a" / "1.png").write_bytes(encode_png(picture()))
    folder = load(tmp_path, {"kind": "folder", "root": "my data"})
    assert list(named_paths(folder)) == [("source.root", str(data))]
    assert folders_to_mount(folder) == (data,)
    assert folders_to_mount(load(tmp_path, {"kind": "folder", "root": data.as_uri()})) == (data,)
    parquet = load(tmp_path, {"kind": "parquet", "files": "my data/*/part-*.parquet"})
    assert folders_to_mount(parquet) == (data,)


def test_what_is_elsewhere_or_nowhere_is_not_mounted(tmp_path):
    assert folders_to_mount(load(tmp_path, {"kind": "folder", "root": "s3://bucket/images"})) == ()
    assert folders_to_mount(load(tmp_path, {"kind": "folder", "root": "/no/such/folder"})) == ()


def test_files_of_credentials_are_mounted(tmp_path, monkeypatch):
    key = tmp_path / "key.json"
    key.write_text("{}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    assert folders_to_mount(load(tmp_path, {"kind": "folder", "root": "gs://bucket/images"})) == (key,)
