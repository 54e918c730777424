"""ImageNet_Quality as training and evaluation read it: versions and their quality, a row group at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from metrifier_core.records import KEYS, count_rows

__all__ = ["QualityDataset"]


@dataclass(frozen=True)
class _Group:
    versions: Path
    group: int
    quality_group: int


class QualityDataset:
    """Versions joined with their quality; memory holds one row group, whatever the size of the data set."""

    def __init__(self, versions: Sequence[Path], quality: Path) -> None:
        """Opens the tables.

        Args:
            versions: The shards of versions, in shard order.
            quality: The merged table, whose row groups are those of the shards one after the other.
        """
        self._quality = quality
        shards = [(path, group) for path in versions for group in range(pq.read_metadata(path).num_row_groups)]
        self._groups = [_Group(path, group, index) for index, (path, group) in enumerate(shards)]
        found = pq.read_metadata(quality).num_row_groups
        if found != len(shards):
            raise ValueError(f"{quality} was not made from these versions: {found} row groups, not {len(shards)}")

    def __len__(self) -> int:
        """Counts the row groups."""
        return len(self._groups)

    def rows(self, group: int, split: str) -> list[dict[str, Any]]:
        """Reads the versions of one split in one row group.

        Args:
            group: Index of the row group.
            split: The split to keep.

        Returns:
            A dictionary a version: the keys, `image` and `quality`.

        Raises:
            ValueError: The versions and the qualities are not of the same images.
        """
        place = self._groups[group]
        quality = pq.ParquetFile(self._quality).read_row_group(place.quality_group)
        if split not in quality["split"].unique().to_pylist():
            return []
        versions = pq.ParquetFile(place.versions).read_row_group(place.group)
        if not versions.select(list(KEYS)).equals(quality.select(list(KEYS))):
            raise ValueError(f"{self._quality} was not made from the versions in {place.versions}")
        joined = versions.append_column("quality", quality["quality"])
        return [row for row in joined.to_pylist() if row["split"] == split]

    def iterate(self, split: str) -> Iterator[dict[str, Any]]:
        """Reads all versions of one split, in order."""
        for group in range(len(self)):
            yield from self.rows(group, split)

    def count(self, split: str) -> int:
        """Counts the versions of one split."""
        return count_rows(self._quality, [split])
