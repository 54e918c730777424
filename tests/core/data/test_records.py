"""Tables come back as they were written, whole or not at all, and say what they were made from."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metrifier_core import __version__
from metrifier_core.data import records
from metrifier_core.data.records import (
    IMAGES,
    KEYS,
    LOSSES,
    PREDICTIONS,
    QUALITY,
    REJECTED,
    count_rows,
    fingerprint,
    open_writer,
    read_fingerprint,
    read_rows,
    shard_file,
    shard_name,
)
from metrifier_core.images import encode_png
from tests.helpers.bad_images import picture

PNG = encode_png(picture())


def make_rows(count: int, splits: tuple[str, ...] = ("train",)) -> list[dict[str, Any]]:
    """Source images, the splits one after the other in equal shares."""
    return [
        {
            "image_id": f"image-{index}",
            "label": index % 10,
            "distortion": "pristine",
            "severity": 0,
            "seed": 2**63 - 1 - index,
            "split": splits[index * len(splits) // count],
            "image": {"bytes": PNG, "path": f"image-{index}"},
        }
        for index in range(count)
    ]


def write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema = IMAGES, identity: str = "id") -> Path:
    with open_writer(path, schema, identity) as writer:
        for row in rows:
            writer.write(row)
    return path


@pytest.fixture
def two_splits(tmp_path: Path) -> Path:
    """Write a row group of training images (with some of the validation ones) and one of validation images."""
    return write(tmp_path / "images.parquet", make_rows(500, ("train", "validation")))


# Rows


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 600])
def test_rows_come_back_in_order(tmp_path: Path, count: int) -> None:
    rows = make_rows(count)
    path = write(tmp_path / "folder" / "images.parquet", rows)
    assert list(read_rows(path)) == rows
    assert count_rows(path) == count


def test_row_groups_are_bounded(tmp_path: Path) -> None:
    metadata = pq.read_metadata(write(tmp_path / "images.parquet", make_rows(600)))
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [256, 256, 88]


def test_flush_ends_a_row_group(tmp_path: Path) -> None:
    path = tmp_path / "images.parquet"
    first, *others = make_rows(4)
    with open_writer(path, IMAGES, "id") as writer:
        writer.write(first)
        writer.flush()
        writer.flush()
        for row in others:
            writer.write(row)
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [1, 3]


def test_only_the_columns_asked_for_are_read(two_splits: Path) -> None:
    assert next(read_rows(two_splits, ["label", "split"])) == {"label": 0, "split": "train"}
    assert next(read_rows(two_splits, ["label"], splits=["validation"])) == {"label": 0}


def test_splits_are_filtered(two_splits: Path) -> None:
    rows = make_rows(500, ("train", "validation"))
    for splits in (["train"], ["validation"], ["validation", "train"], ["test"], []):
        expected = [row for row in rows if row["split"] in splits]
        assert list(read_rows(two_splits, splits=splits)) == expected
        assert count_rows(two_splits, splits) == len(expected)


def damage_images(path: Path, group: int) -> None:
    """Overwrite the image bytes of one row group."""
    metadata = pq.read_metadata(path).row_group(group)
    columns = {metadata.column(index).path_in_schema: metadata.column(index) for index in range(metadata.num_columns)}
    column = columns["image.bytes"]
    with path.open("r+b") as stream:
        stream.seek(column.data_page_offset)
        stream.write(b"\xff" * column.total_compressed_size)


def test_a_row_group_without_the_split_is_passed_over(two_splits: Path) -> None:
    damage_images(two_splits, 1)
    assert len(list(read_rows(two_splits, splits=["train"]))) == 250, "all of them stand in the sound row group"
    with pytest.raises(OSError, match=r"(?i)thrift|page|deserialize"):
        list(read_rows(two_splits))


def test_a_row_group_is_read_when_its_turn_comes(two_splits: Path) -> None:
    damage_images(two_splits, 1)
    rows = read_rows(two_splits)
    assert [next(rows)["image_id"] for _ in range(256)] == [f"image-{index}" for index in range(256)]


# Whole or not at all


def test_a_table_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "images.parquet"
    with open_writer(path, IMAGES, "id") as writer:
        for row in make_rows(300):
            writer.write(row)
        assert not path.exists()
        assert read_fingerprint(path) is None
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_failure_leaves_no_table(tmp_path: Path) -> None:
    path = tmp_path / "images.parquet"

    def fail() -> None:
        with open_writer(path, IMAGES, "id") as writer:
            for row in make_rows(300):
                writer.write(row)
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail()
    assert not path.exists()
    write(path, make_rows(3))
    assert count_rows(path) == 3, "what is left of the failure does not stand in the way"

    with pytest.raises(RuntimeError, match="killed"):
        fail()
    assert count_rows(path) == 3, "an older table is kept"


def test_row_groups_are_bounded_in_bytes(tmp_path: Path) -> None:
    photo = {"bytes": bytes(10 << 20), "path": None}
    path = write(tmp_path / "images.parquet", [{**row, "image": photo} for row in make_rows(15)])
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)] == [7, 7, 1]


def test_a_row_group_is_not_in_memory_at_once_when_it_is_read(tmp_path: Path) -> None:
    photo = {"bytes": np.random.default_rng(0).bytes(256 << 10), "path": None}
    rows = [{**row, "image": photo} for row in make_rows(240)]  # one row group of 60 MiB
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    path = write(tmp_path / "images.parquet", rows)
    assert pq.read_metadata(path).num_row_groups == 1
    held = [pool.bytes_allocated() - before for _ in read_rows(path)]
    assert len(held) == 240
    assert max(held) < 16 << 20


@pytest.mark.parametrize(
    "wrong", [{"label": None}, {"label": "three"}, {"severity": 2**40}, {"image": b"png"}], ids=str
)
def test_a_row_of_another_form_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    (row,) = make_rows(1)
    with pytest.raises((pa.ArrowException, OverflowError, TypeError)):
        write(tmp_path / "images.parquet", [{**row, **wrong}])
    assert not (tmp_path / "images.parquet").exists()


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write(tmp_path / name, make_rows(300)) for name in ("first.parquet", "second.parquet"))
    assert first.read_bytes() == second.read_bytes()


# What a file says of itself


def test_images_are_what_hugging_face_datasets_reads(tmp_path: Path) -> None:
    schema = pq.read_schema(write(tmp_path / "images.parquet", make_rows(1)))
    assert schema.field("image").type == pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features == {
        "image_id": {"dtype": "string", "_type": "Value"},
        "label": {"dtype": "int64", "_type": "Value"},
        "distortion": {"dtype": "string", "_type": "Value"},
        "severity": {"dtype": "int32", "_type": "Value"},
        "seed": {"dtype": "int64", "_type": "Value"},
        "split": {"dtype": "string", "_type": "Value"},
        "image": {"_type": "Image"},
    }
    assert list(features) == schema.names


@pytest.mark.parametrize("schema", [IMAGES, LOSSES, QUALITY, PREDICTIONS], ids=["images", "losses", "quality", "pred"])
def test_every_table_of_versions_begins_with_the_keys(schema: pa.Schema) -> None:
    assert KEYS == ("image_id", "label", "distortion", "severity", "seed", "split")
    assert tuple(schema.names[: len(KEYS)]) == KEYS
    # A full-reference baseline is undefined without a pristine version.
    assert not any(schema.field(name).nullable for name in schema.names if name not in {"image", "psnr", "ssim"})


def test_a_file_says_what_it_was_made_by(tmp_path: Path) -> None:
    path = write(tmp_path / "rejected.parquet", [{"path": "a.png", "reason": "empty file"}], REJECTED, "abc")
    metadata = pq.read_schema(path).metadata
    assert metadata[b"metrifier.schema_version"] == b"1"
    assert metadata[b"metrifier.package_version"] == __version__.encode()
    assert metadata[b"metrifier.config_hash"] == b"abc"
    assert read_fingerprint(path) == "abc"


def test_other_peoples_tables_have_no_fingerprint(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    assert read_fingerprint(tmp_path / "other.parquet") is None
    assert read_fingerprint(tmp_path / "none.parquet") is None
    assert read_fingerprint(tmp_path) is None


def test_pixels_are_compressed_once(tmp_path: Path) -> None:
    row_group = pq.read_metadata(write(tmp_path / "images.parquet", make_rows(9))).row_group(0)
    for index in range(row_group.num_columns):
        column = row_group.column(index)
        assert column.compression == "ZSTD"
        is_image = column.path_in_schema.startswith("image.")
        assert column.is_stats_set != is_image, "statistics of encoded images would repeat whole images"


def test_shards_are_named_in_order(tmp_path: Path) -> None:
    names = [shard_name(index, 12) for index in range(12)]
    assert names[0] == "00000-of-00012"
    assert sorted(names) == names
    assert shard_file(tmp_path, "versions", names[3]) == tmp_path / "versions-00003-of-00012.parquet"


# Fingerprints

INGREDIENTS: dict[str, Any] = {
    "stage": "distort",
    "parameters": {"types": ["jpeg", "contrast"], "seed": 0, "splits": [{"train": 0.5}]},
    "inputs": ["a" * 64, "b" * 64],
}


@pytest.mark.parametrize(
    "changed",
    [
        {"stage": "download"},
        {"parameters": {}},
        {"parameters": {**INGREDIENTS["parameters"], "seed": 1}},
        {"parameters": {**INGREDIENTS["parameters"], "splits": [{"train": 0.6}]}},
        {"parameters": {**INGREDIENTS["parameters"], "types": ["contrast", "jpeg"]}},
        {"inputs": []},
        {"inputs": ["a" * 64]},
        {"inputs": ["a" * 64, "c" * 64]},
    ],
    ids=str,
)
def test_a_fingerprint_changes_with_every_ingredient(changed: dict[str, Any]) -> None:
    assert fingerprint(**{**INGREDIENTS, **changed}) != fingerprint(**INGREDIENTS)


@pytest.mark.parametrize("version", ["__version__", "SCHEMA_VERSION"])
def test_a_fingerprint_changes_with_the_code(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(**INGREDIENTS)
    monkeypatch.setattr(records, version, "999")
    assert fingerprint(**INGREDIENTS) != before


def test_a_fingerprint_does_not_depend_on_order() -> None:
    parameters = dict(reversed(INGREDIENTS["parameters"].items()))
    inputs = list(reversed(INGREDIENTS["inputs"]))
    assert fingerprint("distort", parameters, inputs) == fingerprint(**INGREDIENTS)
    assert len(fingerprint("download", {})) == 64
