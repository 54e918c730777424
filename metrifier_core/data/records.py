"""The tables between stages: their Arrow schemas, and how they are written and read."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metrifier_core._version import __version__

SCHEMA_VERSION = "1"
_IMAGES_PER_GROUP = 256
_ROWS_PER_GROUP = 4096  # of tables without images; every group adds to a file's metadata
ROWS_PER_BATCH = 16  # converted at a time: a whole row group would take several times its size
_BYTES_PER_GROUP = 64 << 20
_BYTES_READ_AHEAD = 1 << 20


_TEXT, _INTEGER, _NUMBER, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()


def _fields(**columns: pa.DataType) -> list[pa.Field]:
    return [pa.field(name, kind, nullable=False) for name, kind in columns.items()]


_KEY_FIELDS = _fields(image_id=_TEXT, label=_INTEGER, distortion=_TEXT, severity=pa.int32(), seed=_INTEGER, split=_TEXT)
KEYS: tuple[str, ...] = tuple(field.name for field in _KEY_FIELDS)
"""The first columns of every table of versions; `seed` repeats the version's random field."""


def _images_schema(**columns: pa.DataType) -> pa.Schema:
    """Return a schema with an image column and the metadata that makes Hugging Face's `datasets` decode it."""
    image = pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    fields = [*_KEY_FIELDS, *_fields(**columns), image]
    features = {field.name: {"dtype": str(field.type), "_type": "Value"} for field in fields}
    features["image"] = {"_type": "Image"}
    return pa.schema(fields, metadata={b"huggingface": json.dumps({"info": {"features": features}}).encode()})


IMAGES = _images_schema()
"""Versions: encoded bytes, as in Hugging Face's `Image` feature."""

SOURCE_IMAGES = _images_schema(decoder=_TEXT)
"""Source images: as versions, with the decoder that read each one; see `ingest.routes`."""

LOSSES = pa.schema(
    _KEY_FIELDS
    + _fields(worker=_TEXT, tcp=_NUMBER, loss=_NUMBER, cross_entropy=_NUMBER)
    + _fields(correct=_FLAG, max_softmax=_NUMBER, entropy=_NUMBER)
)
"""One worker's output on one version; entropies in nats."""

QUALITY = pa.schema(_KEY_FIELDS + _fields(quality=_NUMBER, worker_tcp=pa.list_(_NUMBER)))
"""ImageNet_Quality: one row per version, quality in [0, 1]; true-class probabilities by the label workers' names."""

PREDICTIONS = pa.schema(
    _KEY_FIELDS
    + _fields(predicted=_NUMBER, quality=_NUMBER, unseen=_FLAG)
    + _fields(held_out=_NUMBER, held_out_tcp=pa.list_(_NUMBER), held_out_right=pa.list_(_FLAG))
    + _fields(laplacian_variance=_NUMBER, jpeg_size=_NUMBER, brisque_trees=_NUMBER)
    + [pa.field("psnr", _NUMBER), pa.field("ssim", _NUMBER)]
    + _fields(severity_oracle=_NUMBER, single_confidence=_NUMBER, label_confidence=_NUMBER)
)
"""The test versions with the predictions of the metrifier, the workers and the baselines.

`unseen` marks distortions that no training has seen. `held_out` is the held-out workers' mean TCP; `held_out_tcp` and
`held_out_right` have each one's TCP and whether its answer is right, by the workers' names. `psnr` and `ssim` are null
where a source image has no pristine version.
"""

REJECTED = pa.schema(_fields(path=_TEXT, reason=_TEXT))
"""Images that could not be used, and why."""


def shard_name(index: int, count: int) -> str:
    """Return the name of a shard, e.g. `00000-of-00004`."""
    return f"{index:05d}-of-{count:05d}"


def shard_of(path: Path) -> str:
    """Return the name of the shard in a file name; raise ValueError if there is none."""
    match = re.search(r"-(\d{5}-of-\d{5})\.parquet$", path.name)
    if match is None:
        raise ValueError(f"{path} is not a shard of a table: expected a name such as images-00000-of-00004.parquet")
    return match[1]


def shard_file(folder: Path, table: str, shard: str) -> Path:
    """Return the path of a shard of a table."""
    return folder / f"{table}-{shard}.parquet"


def fingerprint(stage: str, parameters: Mapping[str, Any], inputs: Sequence[str] = ()) -> str:
    """Return the identity of what a stage makes, from its name, settings, inputs and the package's version.

    Args:
        stage: Name of the stage.
        parameters: Its settings, JSON-serialisable.
        inputs: Fingerprints of its inputs.

    Returns:
        64 hexadecimal digits.
    """
    text = json.dumps([stage, __version__, SCHEMA_VERSION, dict(parameters), sorted(inputs)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class TableWriter:
    """A writer of rows in row groups of bounded size, so that memory does not grow with the table."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._writer = writer
        self._schema = schema
        self._rows: list[Mapping[str, Any]] = []
        self._packed: list[pa.RecordBatch] = []
        self._held = 0
        self._bytes = 0
        self._max_rows = _IMAGES_PER_GROUP if "image" in schema.names else _ROWS_PER_GROUP

    def __repr__(self) -> str:
        return f"TableWriter({', '.join(self._schema.names)})"

    def write(self, row: Mapping[str, Any]) -> None:
        """Add one row, a value per column."""
        self._rows.append(row)
        self._held += 1
        if "image" in row:
            self._bytes += len(row["image"]["bytes"])
        if self._held >= self._max_rows or self._bytes >= _BYTES_PER_GROUP:
            self.flush()
        elif len(self._rows) >= ROWS_PER_BATCH:
            self._pack()

    def _pack(self) -> None:
        self._packed.append(pa.RecordBatch.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()

    def flush(self) -> None:
        """Write the rows that are held back, as one row group."""
        if self._rows:
            self._pack()
        if self._packed:
            self._writer.write_table(pa.Table.from_batches(self._packed, self._schema))
            self._packed.clear()
            self._held = self._bytes = 0


@contextmanager
def open_writer(path: Path, schema: pa.Schema, identity: str) -> Iterator[TableWriter]:
    """Open a table for writing; it appears under its name only when it is complete.

    Args:
        path: Path of the table.
        schema: One of this module's schemas.
        identity: Fingerprint of the table, kept in the file's metadata.
    """
    temporary = path.with_suffix(".partial")
    names = [field.name for field in schema if not pa.types.is_struct(field.type)]
    metadata = {
        **(schema.metadata or {}),
        b"metrifier.schema_version": SCHEMA_VERSION.encode(),
        b"metrifier.package_version": __version__.encode(),
        b"metrifier.config_hash": identity.encode(),
    }
    schema = schema.with_metadata(metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Encoded images neither repeat nor sort: they need no dictionary and no statistics.
    with pq.ParquetWriter(
        temporary, schema, compression="zstd", use_dictionary=names, write_statistics=names
    ) as parquet:
        writer = TableWriter(parquet, schema)
        yield writer
        writer.flush()
    temporary.replace(path)


def read_fingerprint(path: Path) -> str | None:
    """Return the fingerprint of a complete table; None where there is no such table."""
    if not path.is_file():
        return None
    metadata = pq.read_schema(path).metadata or {}
    identity: bytes | None = metadata.get(b"metrifier.config_hash")
    return None if identity is None else identity.decode()


def count_rows(path: Path, splits: Sequence[str] | None = None) -> int:
    """Count the rows of a table, those of some splits where given."""
    if splits is None:
        return int(pq.read_metadata(path).num_rows)
    table = pq.ParquetFile(path)
    groups = (table.read_row_group(group, ["split"]) for group in range(table.num_row_groups))
    return sum(int(pc.sum(_is_in(rows, splits)).as_py() or 0) for rows in groups)


def read_rows(
    path: Path, columns: Sequence[str] | None = None, *, splits: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Read a table row by row, a few rows in memory at a time.

    Args:
        path: The table.
        columns: Columns to read; all where None.
        splits: Splits to keep; all where None.

    Yields:
        A dictionary per row.
    """
    table = open_table(path)
    for group in range(table.num_row_groups):
        # Reading the splits alone first skips row groups without any of these rows.
        if splits is not None and not pc.any(_is_in(table.read_row_group(group, ["split"]), splits)).as_py():
            continue
        wanted = None if columns is None else list(dict.fromkeys([*columns, "split"]))
        for batch in table.iter_batches(ROWS_PER_BATCH, [group], wanted):
            kept = batch if splits is None else batch.filter(_is_in(batch, splits))
            yield from (kept if columns is None else kept.select(list(columns))).to_pylist()


def open_table(path: Path) -> pq.ParquetFile:
    """Open a table so that batches are read page by page, never a whole row group at once."""
    return pq.ParquetFile(path, buffer_size=_BYTES_READ_AHEAD, pre_buffer=False)


def _is_in(rows: pa.Table | pa.RecordBatch, splits: Sequence[str]) -> Any:
    """Return a mask of the rows of some splits."""
    return pc.is_in(rows["split"], pa.array(splits, pa.string()))


def tables(folders: list[Path], table: str) -> list[Path]:
    """List the shards of a table in folders, in shard order."""
    paths = (path for folder in folders for path in folder.glob(f"{table}-*.parquet"))
    return sorted(paths, key=lambda path: path.name)


def only_table(folder: Path, table: str) -> Path:
    """Return the only shard of a table in a folder."""
    (path,) = tables([folder], table)
    return path
