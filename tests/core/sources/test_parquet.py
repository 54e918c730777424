"""Parquet files are listed by their labels, and only what is read of them is read."""

import tempfile
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metrifier_core.data.records import IMAGES
from metrifier_core.images import ImageError, encode_png
from metrifier_core.sources import ParquetSource, SourceItem, list_items, listing_digest, storage
from metrifier_core.stages.download import download
from tests.helpers.bad_images import picture
from tests.helpers.source_servers import PartsOfFiles, WholeFiles, http_server

IMAGE = IMAGES.field("image").type
PNGS = [encode_png(picture(8, 8 + index)) for index in range(40)]


def write(path: Path, rows: range, kind: pa.DataType = IMAGE, **options: Any) -> Path:
    """Write a file of some rows of the data set, as Hugging Face writes it."""
    images = [{"bytes": PNGS[row], "path": None} if kind == IMAGE else PNGS[row] for row in rows]
    labels = pa.array([row % 3 for row in rows], pa.int64())
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": pa.array(images, kind), "label": labels}), path, row_group_size=5, **options)
    return path


def listed(files: Path | str, **more: Any) -> list[SourceItem]:
    return list_items(ParquetSource.model_validate({"kind": "parquet", "files": str(files), **more}))


def contents(items: list[SourceItem]) -> dict[str, tuple[int, bytes]]:
    return {item.image_id: (item.label, item.read()) for item in items if item.fault is None}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty rows in two files, and what is none of them."""
    write(tmp_path / "data" / "train-00000-of-00002.parquet", range(25))
    write(tmp_path / "data" / "train-00001-of-00002.parquet", range(25, 40))
    (tmp_path / "data" / "README.md").write_text("card")
    (tmp_path / "data" / ".cache").mkdir()
    write(tmp_path / "data" / ".cache" / "old.parquet", range(1))
    return tmp_path / "data"


EXPECTED = {f"train-0000{row >= 25:d}-of-00002.parquet/{row % 25}": (row % 3, png) for row, png in enumerate(PNGS)}


@pytest.mark.parametrize("kind", [IMAGE, pa.binary(), pa.large_binary()])
def test_a_row_is_an_image_and_its_label(kind: pa.DataType, tmp_path: Path) -> None:
    found = contents(listed(write(tmp_path / "a.parquet", range(12), kind)))
    assert found == {f"a.parquet/{row}": (row % 3, PNGS[row]) for row in range(12)}


def test_a_folder_or_a_pattern_is_many_files(folder: Path) -> None:
    assert contents(listed(folder)) == EXPECTED
    assert contents(listed(folder / "train-*.parquet")) == EXPECTED
    assert contents(listed(folder.parent / "*" / "*.parquet")) == {
        f"data/{name}": row for name, row in EXPECTED.items()
    }
    assert len(listed(folder / "train-0000[1]*")) == 15


def test_files_behind_a_url_are_those_here(folder: Path) -> None:
    memory = fsspec.filesystem("memory")
    for path in folder.rglob("*.parquet"):
        memory.pipe_file(f"/parquet/{path.relative_to(folder)}", path.read_bytes())
    assert contents(listed("memory://parquet")) == EXPECTED
    assert contents(listed("memory://parquet/train-*.parquet")) == EXPECTED
    one = "train-00001-of-00002.parquet"
    assert contents(listed(f"memory://parquet/{one}")).keys() == {name for name in EXPECTED if name.startswith(one)}
    with http_server(folder, PartsOfFiles) as url:
        assert len(contents(listed(f"{url}/{one}"))) == 15
        with pytest.raises(
            ValueError, match=rf"^source.files: HTTP cannot list what matches {url}/\*.parquet: name one"
        ):
            listed(f"{url}/*.parquet")
    with (
        http_server(folder, WholeFiles) as url,
        pytest.raises(ValueError, match=r"parts of files, .* download it first"),
    ):
        listed(f"{url}/{one}")


def test_listing_reads_no_image_and_choosing_reads_few_row_groups(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, str]] = []
    batches, groups = pq.ParquetFile.iter_batches, pq.ParquetFile.read_row_group

    def note_batches(table: Any, size: int, wanted: list[int], columns: list[str]) -> Any:
        read.extend((group, columns[0]) for group in wanted)
        return batches(table, size, wanted, columns)

    def note_group(table: Any, group: int, columns: list[str]) -> Any:
        read.append((group, columns[0]))
        return groups(table, group, columns)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", note_batches)
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", note_group)
    items = listed(folder, max_sources=2)
    assert {column for _, column in read} == {"label"}
    read.clear()
    assert contents(items) == {item.image_id: EXPECTED[item.image_id] for item in items}
    assert len(read) <= 2
    assert {column for _, column in read} == {"image.bytes"}


def test_rows_that_cannot_be_used_are_refused_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_BYTES", 1000)
    images = [PNGS[0], None, PNGS[1], bytes(1001), PNGS[2], b""]
    table = {
        "img": pa.array([{"bytes": image, "path": "a.png"} for image in images], IMAGE),
        "fine": [0, 1, -1, 2, None, 2],
    }
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    items = {item.image_id: item for item in listed(tmp_path, image_column="img", label_column="fine")}
    assert {name: item.fault for name, item in items.items() if item.fault} == {
        "a.parquet/2": "the row has no label",
        "a.parquet/4": "the row has no label",
    }
    assert items["a.parquet/0"].read() == PNGS[0]
    assert items["a.parquet/5"].read() == b""
    with pytest.raises(ImageError, match=r"^the row holds no bytes of an image$"):
        items["a.parquet/1"].read()
    with pytest.raises(ImageError, match=r"^larger than 0 MiB$"):
        items["a.parquet/3"].read()


def test_a_label_that_no_table_holds_is_none(tmp_path: Path) -> None:
    images = pa.array([{"bytes": PNGS[0], "path": None}] * 2, IMAGE)
    pq.write_table(pa.table({"image": images, "label": pa.array([1, 1 << 63], pa.uint64())}), tmp_path / "a.parquet")
    assert [item.fault for item in listed(tmp_path)] == [None, "the row has no label"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_column": "img"}, r"source.image_column: .*a.parquet has no column 'img', it has image, label$"),
        ({"label_column": "fine"}, r"source.label_column: .*a.parquet has no column 'fine', it has image, label$"),
        ({"image_column": "label"}, r"source.image_column: 'label' of .*a.parquet holds int64, not bytes of images$"),
        ({"label_column": "image"}, r"source.label_column: 'image' of .*a.parquet holds struct<.*, not class indices"),
    ],
)
def test_wrong_columns_are_refused_by_their_setting(settings: dict[str, str], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", range(3))
    with pytest.raises(ValueError, match=f"^{message}"):
        listed(path, **settings)


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", range(20))
    content = path.read_bytes()
    for damaged in (b"", b"hello", content[:-5]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"^source.files: {path} is not a Parquet file, or is damaged: "):
            listed(path)
    with pytest.raises(ValueError, match=rf"^source.files: there is no file {tmp_path}/no or \*.parquet below it$"):
        listed(tmp_path / "no")
    with pytest.raises(ValueError, match=rf"^source.files: there is no file {tmp_path}/b\*.parquet$"):
        listed(f"{tmp_path}/b*.parquet")


def test_a_digest_changes_with_a_file(folder: Path) -> None:
    digest = listing_digest(listed(folder))
    assert listing_digest(listed(folder)) == digest
    write(folder / "train-00001-of-00002.parquet", range(25, 40), compression="zstd")
    assert listing_digest(listed(folder)) != digest


def test_what_download_writes_can_be_a_source(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tables are in the form that it reads; and nothing is left of the temporary file."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    splits = [{"calibration": 0.25, "train": 0.25, "validation": 0.25, "test": 0.25}]
    summary = download({"kind": "parquet", "files": str(folder)}, splits, 0, 2, tmp_path / "images")
    assert (summary["read"], summary["accepted"]) == (40, 40)
    assert list((tmp_path / "temporary").iterdir()) == []
    again = contents(listed(tmp_path / "images" / "images-*.parquet"))
    assert sorted(again.values()) == sorted(EXPECTED.values())
