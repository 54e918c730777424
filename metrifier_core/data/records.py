"""The tables between stages: their Arrow schemas, how they are written and read."""

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
_ROWS_PER_GROUP = 4096  # without images; every group adds to what a reader has to know of a file
_ROWS_PER_BATCH = 16  # that are packed and unpacked at a time: a row group at once would take several times its size
_BYTES_PER_GROUP = 64 << 20
_BYTES_READ_AHEAD = 1 << 20

_KEY_FIELDS = [
    pa.field("image_id", pa.string(), nullable=False),
    pa.field("label", pa.int64(), nullable=False),
    pa.field("distortion", pa.string(), nullable=False),
    pa.field("severity", pa.int32(), nullable=False),
    pa.field("seed", pa.int64(), nullable=False),
    pa.field("split", pa.string(), nullable=False),
]
KEYS: tuple[str, ...] = tuple(field.name for field in _KEY_FIELDS)
"""The columns that every row of every table begins with; the seed repeats the version's random field."""

_IMAGE = pa.field("image", pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())]))


def _hugging_face_features(fields: Sequence[pa.Field]) -> dict[bytes, bytes]:
    """Names the features as `datasets` reads them, so that it decodes the image column."""
    features = {
        field.name: {"_type": "Image"} if field.name == "image" else {"dtype": str(field.type), "_type": "Value"}
        for field in fields
    }
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


IMAGES = pa.schema([*_KEY_FIELDS, _IMAGE], metadata=_hugging_face_features([*_KEY_FIELDS, _IMAGE]))
"""Versions: encoded bytes, as the Hugging Face `Image` feature has them."""

_DECODER = pa.field("decoder", pa.string(), nullable=False)

SOURCE_IMAGES = pa.schema(
    [*_KEY_FIELDS, _DECODER, _IMAGE], metadata=_hugging_face_features([*_KEY_FIELDS, _DECODER, _IMAGE])
)
"""Source images, as versions, and which decoder read each one; see `ingest.routes`."""

LOSSES = pa.schema(
    [
        *_KEY_FIELDS,
        pa.field("worker", pa.string(), nullable=False),
        pa.field("tcp", pa.float64(), nullable=False),
        pa.field("loss", pa.float64(), nullable=False),
        pa.field("cross_entropy", pa.float64(), nullable=False),
        pa.field("correct", pa.bool_(), nullable=False),
        pa.field("max_softmax", pa.float64(), nullable=False),
        pa.field("entropy", pa.float64(), nullable=False),
    ]
)
"""What one worker makes of one version; entropies in nats."""

QUALITY = pa.schema(
    [
        *_KEY_FIELDS,
        pa.field("quality", pa.float64(), nullable=False),
        pa.field("worker_tcp", pa.list_(pa.float64()), nullable=False),
    ]
)
"""ImageNet_Quality: one row a version, quality in [0, 1]; true-class probabilities by the label workers' names."""

PREDICTIONS = pa.schema(
    [
        *_KEY_FIELDS,
        pa.field("predicted", pa.float64(), nullable=False),
        pa.field("quality", pa.float64(), nullable=False),
        pa.field("unseen", pa.bool_(), nullable=False),
        pa.field("held_out", pa.float64(), nullable=False),
        pa.field("held_out_tcp", pa.list_(pa.float64()), nullable=False),
        pa.field("held_out_right", pa.list_(pa.bool_()), nullable=False),
        pa.field("laplacian_variance", pa.float64(), nullable=False),
        pa.field("jpeg_size", pa.float64(), nullable=False),
        pa.field("brisque_trees", pa.float64(), nullable=False),
        pa.field("psnr", pa.float64()),
        pa.field("ssim", pa.float64()),
        pa.field("severity_oracle", pa.float64(), nullable=False),
        pa.field("single_confidence", pa.float64(), nullable=False),
        pa.field("label_confidence", pa.float64(), nullable=False),
    ]
)
"""The test versions as the metrifier, the workers and the baselines judge them.

`unseen` says that no training has seen the distortion. `held_out` is the held-out workers' mean TCP; `held_out_tcp` and
`held_out_right` have the TCP of each of them and whether its answer is right, by the workers' names. `psnr` and `ssim`
are null where a source image has no pristine version.
"""

REJECTED = pa.schema([pa.field("path", pa.string(), nullable=False), pa.field("reason", pa.string(), nullable=False)])
"""Images that could not be used, and why."""


def shard_name(index: int, count: int) -> str:
    """Names a shard, e.g. `00000-of-00004`."""
    return f"{index:05d}-of-{count:05d}"


def shard_of(path: Path) -> str:
    """Finds the shard that a file of a table is, by its name.

    Raises:
        ValueError: The file is no shard of a table.
    """
    found = re.search(r"-(\d{5}-of-\d{5})\.parquet$", path.name)
    if found is None:
        raise ValueError(f"{path} is not named as a shard of a table is")
    return found[1]


def shard_file(folder: Path, table: str, shard: str) -> Path:
    """Where a shard of a table stands in a folder."""
    return folder / f"{table}-{shard}.parquet"


def fingerprint(stage: str, parameters: Mapping[str, Any], inputs: Sequence[str] = ()) -> str:
    """Identifies what a stage makes: its name, its settings, its inputs and the package's version.

    Args:
        stage: Name of the stage.
        parameters: Its settings, JSON-serialisable.
        inputs: Fingerprints of what it reads.

    Returns:
        64 hexadecimal digits.
    """
    text = json.dumps([stage, __version__, SCHEMA_VERSION, dict(parameters), sorted(inputs)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class TableWriter:
    """Writes rows in row groups of bounded size, so that memory does not grow with the table."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._writer = writer
        self._schema = schema
        self._rows: list[Mapping[str, Any]] = []
        self._packed: list[pa.RecordBatch] = []
        self._held = 0
        self._bytes = 0
        self._most = _IMAGES_PER_GROUP if "image" in schema.names else _ROWS_PER_GROUP

    def write(self, row: Mapping[str, Any]) -> None:
        """Adds one row, a value a column."""
        self._rows.append(row)
        self._held += 1
        if "image" in row:
            self._bytes += len(row["image"]["bytes"])
        if self._held >= self._most or self._bytes >= _BYTES_PER_GROUP:
            self.flush()
        elif len(self._rows) >= _ROWS_PER_BATCH:
            self._pack()

    def _pack(self) -> None:
        self._packed.append(pa.RecordBatch.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()

    def flush(self) -> None:
        """Writes the rows that are held back, as one row group."""
        if self._rows:
            self._pack()
        if self._packed:
            self._writer.write_table(pa.Table.from_batches(self._packed, self._schema))
            self._packed.clear()
            self._held = self._bytes = 0


@contextmanager
def open_writer(path: Path, schema: pa.Schema, identity: str) -> Iterator[TableWriter]:
    """Opens a table for writing; it appears under its name only when it is complete.

    Args:
        path: Where the table goes.
        schema: Its schema, one of this module's.
        identity: Fingerprint of what the table holds, kept in the file's metadata.

    Yields:
        The writer.
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
    # Encoded images neither repeat nor sort: no dictionary and no statistics for them.
    with pq.ParquetWriter(
        temporary, schema, compression="zstd", use_dictionary=names, write_statistics=names
    ) as parquet:
        writer = TableWriter(parquet, schema)
        yield writer
        writer.flush()
    temporary.replace(path)


def read_fingerprint(path: Path) -> str | None:
    """Reads what a complete table was made from; None where there is no such table."""
    if not path.is_file():
        return None
    metadata = pq.read_schema(path).metadata or {}
    identity: bytes | None = metadata.get(b"metrifier.config_hash")
    return None if identity is None else identity.decode()


def count_rows(path: Path, splits: Sequence[str] | None = None) -> int:
    """Counts the rows of a table, of some splits where they are named."""
    if splits is None:
        return int(pq.read_metadata(path).num_rows)
    table, wanted = pq.ParquetFile(path), pa.array(splits, pa.string())
    found = (table.read_row_group(group, ["split"])["split"] for group in range(table.num_row_groups))
    return sum(int(pc.sum(pc.is_in(split, wanted)).as_py() or 0) for split in found)


def read_rows(
    path: Path, columns: Sequence[str] | None = None, *, splits: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Reads a table row by row, a few rows in memory at a time.

    Args:
        path: The table.
        columns: Columns to read; all where None.
        splits: Splits to keep; all where None.

    Yields:
        A dictionary a row.
    """
    table = open_table(path)
    for group in range(table.num_row_groups):
        # The split alone is read first: a row group that holds none of the rows is passed over.
        if splits is not None and not pc.any(_is_in(table.read_row_group(group, ["split"]), splits)).as_py():
            continue
        wanted = None if columns is None else list(dict.fromkeys([*columns, "split"]))
        for batch in table.iter_batches(_ROWS_PER_BATCH, [group], wanted):
            kept = batch if splits is None else batch.filter(_is_in(batch, splits))
            yield from (kept if columns is None else kept.select(list(columns))).to_pylist()


def read_batches(path: Path, group: int) -> Iterator[pa.RecordBatch]:
    """Reads one row group of a table, a few rows in memory at a time."""
    yield from open_table(path).iter_batches(_ROWS_PER_BATCH, [group])


def open_table(path: Path) -> pq.ParquetFile:
    """Opens a table for reading in batches: the columns are then read page by page, and not a row group at once."""
    return pq.ParquetFile(path, buffer_size=_BYTES_READ_AHEAD, pre_buffer=False)


def _is_in(rows: pa.Table | pa.RecordBatch, splits: Sequence[str]) -> Any:
    """Says of every row whether it is of one of some splits."""
    return pc.is_in(rows["split"], pa.array(splits, pa.string()))


def tables(folders: list[Path], table: str) -> list[Path]:
    """Finds the shards of a table in folders, in shard order."""
    found = [path for folder in folders for path in folder.glob(f"{table}-*.parquet")]
    return sorted(found, key=lambda path: path.name)


def only_table(folder: Path, table: str) -> Path:
    """Finds the one shard of a table in a folder."""
    (path,) = tables([folder], table)
    return path
