"""A `download` that was killed goes on where it was, and never mixes one source with another."""

import pyarrow.parquet as pq
import pytest

from metrifier_core.images import encode_png
from metrifier_core.stages import download as stage
from tests.helpers.bad_images import picture

SPLITS = [{"calibration": 0.25, "train": 0.25, "validation": 0.25, "test": 0.25}]


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("METRIFIER_PARTIAL", str(tmp_path / "partial"))
    folder = tmp_path / "source" / "a"
    folder.mkdir(parents=True)
    for index in range(60):
        (folder / f"{index}.png").write_bytes(encode_png(picture(16, 16)))
    return {"kind": "folder", "root": str(tmp_path / "source")}


def _killed_after_the_first_shard(source, output, monkeypatch):
    whole = stage._write_shard

    def write_one(images, total, folder, shard, *rest):
        if shard.startswith("00001"):
            raise KeyboardInterrupt
        whole(images, total, folder, shard, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(stage, "_write_shard", write_one)
        with pytest.raises(KeyboardInterrupt):
            stage.download(source, SPLITS, 0, 2, output)
    assert not output.exists()


def _identities(output):
    return [row["image_id"] for path in sorted(output.glob("images-*")) for row in pq.read_table(path).to_pylist()]


def test_a_finished_shard_is_not_read_again(source, tmp_path, monkeypatch):
    _killed_after_the_first_shard(source, tmp_path / "images", monkeypatch)
    written = []
    whole = stage._write_shard
    monkeypatch.setattr(stage, "_write_shard", lambda *given: written.append(given[3]) or whole(*given))
    stage.download(source, SPLITS, 0, 2, tmp_path / "images")
    assert written == ["00001-of-00002"]
    assert len(set(_identities(tmp_path / "images"))) == 60


def test_another_source_is_begun_anew(source, tmp_path, monkeypatch):
    _killed_after_the_first_shard(source, tmp_path / "images", monkeypatch)
    for index in range(60, 75):
        (tmp_path / "source" / "a" / f"{index}.png").write_bytes(encode_png(picture(16, 16)))
    counted = stage.download(source, SPLITS, 0, 2, tmp_path / "images")
    identities = _identities(tmp_path / "images")
    assert counted["read"] == counted["accepted"] == len(identities) == len(set(identities)) == 75
