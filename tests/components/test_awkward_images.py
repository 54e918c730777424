"""Awkward files on their way through `download`: used rightly or named with their reason, never a crash."""

import pyarrow.parquet as pq

from metrifier_core.images import decode_image, read_image
from metrifier_core.stages.download import download
from tests.helpers.bad_images import write_awkward_images

SPLITS = [{"calibration": 0.25, "train": 0.25, "validation": 0.25, "test": 0.25}]


def test_every_file_is_used_rightly_or_named_with_its_reason(tmp_path):
    (tmp_path / "source" / "a").mkdir(parents=True)
    expected = write_awkward_images(tmp_path / "source" / "a")
    expected = {f"a/{name}": reason for name, reason in expected.items()}
    # Enough plain copies that every split has an image.
    good = (
        tmp_path / "source" / "a" / next(n for n, r in expected.items() if r is None).removeprefix("a/")
    ).read_bytes()
    (tmp_path / "source" / "b").mkdir()
    for index in range(40):
        (tmp_path / "source" / "b" / f"{index}.jpg").write_bytes(good)
    source = {"kind": "folder", "root": str(tmp_path / "source")}

    counted = download(source, SPLITS, 0, 2, tmp_path / "images")

    rejected = pq.read_table(tmp_path / "images" / "rejected.parquet").to_pylist()
    used = {
        row["image_id"]: row
        for path in (tmp_path / "images").glob("images-*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    assert counted["read"] == len(expected) + 40 == len(rejected) + len(used)
    assert counted["rejected"] == len(rejected)
    assert {row["path"] for row in rejected} == {name for name, reason in expected.items() if reason is not None}
    for row in rejected:
        assert expected[row["path"]] in row["reason"]
    for name, row in used.items():
        assert (decode_image(row["image"]["bytes"]) == read_image(tmp_path / "source" / name)).all()
    assert {row["label"] for name, row in used.items() if name.startswith("b/")} == {1}
