"""Versions are joined with their own quality, or not at all."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrifier_core.data.dataset import QualityDataset
from metrifier_core.data.records import IMAGES, KEYS, QUALITY, open_writer

SPLITS = ("train", "validation", "test")
Row = dict[str, Any]


def make_versions(start: int, count: int) -> list[Row]:
    """Versions sorted by split, as `distort` writes them, each with its quality."""
    return [
        {
            "image_id": f"image-{index}",
            "label": 3,
            "distortion": "jpeg",
            "severity": 1 + index % 5,
            "seed": index,
            "split": SPLITS[(index - start) * 3 // count],
            "image": {"bytes": str(index).encode(), "path": None},
            "quality": index / 1000,
            "worker_tcp": [index / 1000, index / 2000],
        }
        for index in range(start, start + count)
    ]


# More than a row group, and less.
SHARDS = [make_versions(0, 300), make_versions(300, 20)]


def write_versions(path: Path, rows: list[Row]) -> Path:
    with open_writer(path, IMAGES, "versions") as writer:
        for row in rows:
            writer.write({name: row[name] for name in (*KEYS, "image")})
    return path


def write_quality(path: Path, shards: list[list[Row]]) -> Path:
    with open_writer(path, QUALITY, "quality") as writer:
        for shard in shards:
            for row in shard:
                writer.write({name: row[name] for name in (*KEYS, "quality", "worker_tcp")})
                if row["seed"] % 70 == 0:
                    writer.flush()  # the groups of the two tables need not be the same
    return path


@pytest.fixture
def versions(tmp_path: Path) -> list[Path]:
    return [write_versions(tmp_path / f"versions-{index}.parquet", shard) for index, shard in enumerate(SHARDS)]


@pytest.fixture
def quality(tmp_path: Path) -> Path:
    return write_quality(tmp_path / "quality.parquet", SHARDS)


@pytest.mark.parametrize("split", SPLITS)
def test_versions_come_with_their_own_quality(versions: list[Path], quality: Path, split: str) -> None:
    data = QualityDataset(versions, quality)
    expected = [row for shard in SHARDS for row in shard if row["split"] == split]
    assert list(data.iterate(split)) == expected
    assert data.count(split) == len(expected)


@pytest.mark.parametrize("places", [[], [0], [99, 100], [3, 57, 106], list(range(107))])
def test_single_versions_are_picked_without_reading_the_others(
    versions: list[Path], quality: Path, places: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = QualityDataset(versions, quality)
    every = list(data.iterate("train"))
    assert len(every) == 107
    read: list[int] = []
    rows = data.rows
    monkeypatch.setattr(data, "rows", lambda group, split: read.append(group) or rows(group, split))
    assert list(data.pick("train", np.array(places, np.int64))) == [every[place] for place in places]
    assert read == sorted({0 if place < 100 else 2 for place in places})


def test_a_row_group_gives_the_versions_of_one_split(versions: list[Path], quality: Path) -> None:
    data = QualityDataset(versions, quality)
    assert len(data) == 3, "256 and 44 of the first shard, 20 of the second"
    assert [len(list(data.rows(group, "train"))) for group in range(3)] == [100, 0, 7]
    assert [len(list(data.rows(group, "test"))) for group in range(3)] == [56, 44, 6]
    assert [len(list(data.rows(group, "calibration"))) for group in range(3)] == [0, 0, 0]


def test_a_row_group_is_not_in_memory_at_once(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    rows = [{**row, "image": {"bytes": noise.bytes(256 << 10), "path": None}} for row in make_versions(0, 180)]
    data = QualityDataset(
        [write_versions(tmp_path / "large.parquet", rows)], write_quality(tmp_path / "quality.parquet", [rows])
    )
    assert len(data) == 1
    tracemalloc.start()
    try:
        assert sum(1 for _ in data.iterate("train")) == 60, "60 of 256 KiB"
        assert len(list(data.pick("train", np.array([3, 50])))) == 2
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_versions_of_another_shape_are_refused(versions: list[Path], quality: Path) -> None:
    with pytest.raises(ValueError, match=r"quality.parquet was not made from these versions: 320 rows, not 300"):
        QualityDataset(versions[:1], quality)
    with pytest.raises(ValueError, match=r"320 rows, not 340"):
        QualityDataset([*versions, versions[1]], quality)


def change(rows: list[Row], **values: Any) -> list[Row]:
    return [{**rows[0], **values}, *rows[1:]]


@pytest.mark.parametrize(
    "changed",
    [
        change(SHARDS[0], image_id="another"),
        change(SHARDS[0], label=4),
        change(SHARDS[0], distortion="contrast"),
        change(SHARDS[0], severity=5),
        change(SHARDS[0], seed=999),
        change(SHARDS[0], split="test"),
        [SHARDS[0][1], SHARDS[0][0], *SHARDS[0][2:]],
    ],
    ids=["image_id", "label", "distortion", "severity", "seed", "split", "order"],
)
def test_qualities_of_other_versions_are_refused(tmp_path: Path, versions: list[Path], changed: list[Row]) -> None:
    data = QualityDataset(versions, write_quality(tmp_path / "other.parquet", [changed, SHARDS[1]]))
    assert len(list(data.rows(2, "train"))) == 7, "the other row groups are sound"
    with pytest.raises(ValueError, match=r"other.parquet was not made from the versions in .*versions-0.parquet"):
        list(data.rows(0, "train"))


def test_shards_in_another_order_are_refused(versions: list[Path], quality: Path) -> None:
    data = QualityDataset(list(reversed(versions)), quality)
    with pytest.raises(ValueError, match="was not made from the versions in"):
        list(data.iterate("train"))
