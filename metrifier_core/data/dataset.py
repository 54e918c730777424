"""ImageNet_Quality as training and evaluation read it: versions with their quality, a few rows at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from metrifier_core.data.records import KEYS, ROWS_PER_BATCH, count_rows, open_table


@dataclass(frozen=True)
class _Group:
    path: Path
    index: int
    first_row: int
    rows: int
    size: int


class QualityDataset:
    """Versions joined with their quality, with a few of them in memory whatever the size of the data set.

    Attributes:
        workers: Number of label workers.
    """

    def __init__(self, versions: Sequence[Path], quality: Path) -> None:
        """Open the tables.

        Args:
            versions: The shards of versions, in shard order.
            quality: The merged table, whose rows are those of the shards one after the other.

        Raises:
            ValueError: The tables have different numbers of rows.
        """
        self._quality = quality
        self._groups: list[_Group] = []
        rows = 0
        for path in versions:
            metadata = pq.read_metadata(path)
            for index in range(metadata.num_row_groups):
                group = metadata.row_group(index)
                self._groups.append(_Group(path, index, rows, group.num_rows, group.total_byte_size))
                rows += group.num_rows
        metadata = pq.read_metadata(quality)
        if metadata.num_rows != rows:
            raise ValueError(f"{quality} was not made from these versions: {metadata.num_rows} rows, not {rows}")
        sizes = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
        self._quality_ends = np.cumsum(sizes, dtype=np.int64)
        self.workers = len(self._read_quality(0, 1)["worker_tcp"][0])

    def __repr__(self) -> str:
        rows = sum(group.rows for group in self._groups)
        return f"QualityDataset({str(self._quality)!r}, {rows} versions, {self.workers} workers)"

    def _read_quality(self, first: int, count: int) -> pa.Table:
        """Read some rows of the merged table, by the row groups that hold them."""
        start, end = np.searchsorted(self._quality_ends, [first, first + count - 1], side="right")
        before = int(self._quality_ends[start - 1]) if start else 0
        table = pq.ParquetFile(self._quality).read_row_groups(list(range(start, end + 1)))
        return table.slice(first - before, count)

    def __len__(self) -> int:
        return len(self._groups)

    def size(self, group: int) -> int:
        """Return how many bytes of memory the versions of one row group take."""
        return self._groups[group].size

    def rows(self, group: int, split: str) -> Iterator[dict[str, Any]]:
        """Read the versions of one split in one row group, in order.

        Args:
            group: Index of the row group.
            split: The split to keep.

        Yields:
            A dictionary per version: the keys, `image`, `quality` and `worker_tcp`.

        Raises:
            ValueError: The versions and the qualities are not of the same images.
        """
        place = self._groups[group]
        quality = self._read_quality(place.first_row, place.rows)
        if split not in quality["split"].unique().to_pylist():
            return
        first = 0
        for batch in open_table(place.path).iter_batches(ROWS_PER_BATCH, [place.index]):
            versions, judged = pa.Table.from_batches([batch]), quality.slice(first, len(batch))
            first += len(batch)
            if not versions.select(KEYS).equals(judged.select(KEYS)):
                raise ValueError(f"{self._quality} was not made from the versions in {place.path}")
            for column in ("quality", "worker_tcp"):
                versions = versions.append_column(column, judged[column])
            yield from versions.filter(pc.equal(versions["split"], split)).to_pylist()

    def iterate(self, split: str) -> Iterator[dict[str, Any]]:
        """Read all versions of one split, in order."""
        for group in range(len(self)):
            yield from self.rows(group, split)

    def pick(self, split: str, places: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
        """Read some versions of one split, and no row group without any of them.

        Args:
            split: The split to keep.
            places: Positions among its versions in the order of `iterate`, ascending.

        Yields:
            The versions, in order.
        """
        first = 0
        for group, place in enumerate(self._groups):
            count = pc.sum(pc.equal(self._read_quality(place.first_row, place.rows)["split"], split)).as_py() or 0
            start, end = np.searchsorted(places, [first, first + count])
            if start < end:
                wanted = set((places[start:end] - first).tolist())
                yield from (row for index, row in enumerate(self.rows(group, split)) if index in wanted)
            first += count

    def count(self, split: str) -> int:
        """Return the number of versions of one split."""
        return count_rows(self._quality, [split])
