"""Files that Pillow does not read rightly, on their way through `download`, with the ingest decoder and without."""

import venv

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from metrifier_core.data.records import SOURCE_IMAGES, shard_file
from metrifier_core.images import decode_image
from metrifier_core.ingest.client import IngestError, find_ingest_decoder
from metrifier_core.stages.distort import distort
from metrifier_core.stages.download import download
from tests.helpers.bad_images import encode, picture
from tests.helpers.dicom_files import write_dicom
from tests.helpers.tiff_files import rounded, write_tiff

SPLITS = [{"calibration": 0.25, "train": 0.25, "validation": 0.25, "test": 0.25}]
PLAIN, BEYOND_PILLOW = 30, 5


def samples(index):
    """16-bit colour whose high bytes are not its rounded values."""
    return np.random.default_rng(index).integers(0, 65536, (12, 14, 3), dtype=np.uint16)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source" / "a"
    folder.mkdir(parents=True)
    for index in range(PLAIN):
        (folder / f"{index}.jpg").write_bytes(encode(Image.fromarray(picture()), "JPEG"))
    for index in range(BEYOND_PILLOW):
        (folder / f"wide-{index}.tif").write_bytes(write_tiff(samples(index)))
        (folder / f"scan-{index}.dcm").write_bytes(write_dicom(samples(index)[..., 0] >> 8 << 1, stored=9))
    (folder / "broken.tif").write_bytes(write_tiff(samples(9))[:-100])
    return {"kind": "folder", "root": str(tmp_path / "source")}


def used(output):
    tables = [pq.read_table(path) for path in sorted(output.glob("images-*.parquet"))]
    assert all(table.schema.names == SOURCE_IMAGES.names for table in tables)
    return {row["image_id"]: row for table in tables for row in table.to_pylist()}


def rejected(output):
    return {row["path"]: row["reason"] for row in pq.read_table(output / "rejected.parquet").to_pylist()}


def test_without_it_the_reason_names_the_remedy(source, tmp_path, monkeypatch):
    monkeypatch.setenv("METRIFIER_INGEST_PYTHON", "")
    counted = download(source, SPLITS, 0, 2, tmp_path / "images")
    assert (counted["decoded_by_pillow"], counted["decoded_by_tensorflow_io"]) == (PLAIN, 0)
    assert {row["decoder"] for row in used(tmp_path / "images").values()} == {"pillow"}
    reasons = rejected(tmp_path / "images")
    assert len(reasons) == counted["rejected"] == 2 * BEYOND_PILLOW + 1
    for path, reason in reasons.items():
        kind = "DICOM" if path.endswith(".dcm") else "16-bit colour TIFF"
        assert reason == f"{kind} needs the ingest decoder: make ingest-env"


def test_one_that_does_not_start_fails_the_stage(source, tmp_path, monkeypatch):
    venv.create(tmp_path / "bare")
    monkeypatch.setenv("METRIFIER_INGEST_PYTHON", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(IngestError, match="No module named 'tensorflow': make ingest-env"):
        download(source, SPLITS, 0, 2, tmp_path / "images")
    assert not (tmp_path / "images").exists()


def test_an_environment_that_is_not_there_is_refused_before_any_work(source, tmp_path, monkeypatch):
    monkeypatch.setenv("METRIFIER_INGEST_PYTHON", str(tmp_path / "python"))
    with pytest.raises(ValueError, match="METRIFIER_INGEST_PYTHON"):
        download(source, SPLITS, 0, 2, tmp_path / "images")


@pytest.mark.ingest
@pytest.mark.skipif(find_ingest_decoder() is None, reason="needs tensorflow-io's environment: make ingest-env")
def test_with_it_they_are_used_and_counted(source, tmp_path):
    counted = download(source, SPLITS, 0, 1, tmp_path / "one")
    assert (counted["decoded_by_pillow"], counted["decoded_by_tensorflow_io"]) == (PLAIN, 2 * BEYOND_PILLOW)
    assert rejected(tmp_path / "one").keys() == {"a/broken.tif"}
    rows = used(tmp_path / "one")
    for name, row in rows.items():
        assert row["decoder"] == ("pillow" if name.endswith(".jpg") else "tensorflow-io")
    for index in range(BEYOND_PILLOW):
        image = decode_image(rows[f"a/wide-{index}.tif"]["image"]["bytes"])
        np.testing.assert_array_equal(image, rounded(samples(index)))
        grey = samples(index)[..., 0] >> 8  # stretched to black and white
        expected = np.rint((grey - grey.min()) / np.ptp(grey.astype(int)) * 255)
        image = decode_image(rows[f"a/scan-{index}.dcm"]["image"]["bytes"])
        np.testing.assert_array_equal(image, np.dstack([expected] * 3))

    download(source, SPLITS, 0, 3, tmp_path / "three")
    assert used(tmp_path / "three") == rows  # whatever the shards, and the threads' order
    settings = {"versions_per_source": 2}
    made = distort(settings, 0, shard_file(tmp_path / "three", "images", "00001-of-00003"), tmp_path / "versions")
    assert made["versions"] > 0
    assert "decoder" not in pq.read_schema(tmp_path / "versions" / "versions-00001-of-00003.parquet").names
