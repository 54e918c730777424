"""Parquet files of encoded images and labels, as Hugging Face's data sets have them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from metrifier_core.images import ImageError
from metrifier_core.settings.base import ConfigLocation
from metrifier_core.sources.finding import find_matching
from metrifier_core.sources.items import SourceItem, SourceSettings, choose_items, faulty_item, text
from metrifier_core.sources.spool import Piece, Spool
from metrifier_core.sources.storage import SourceError, StoredFile, reached, too_large

_SETTING = "source.files"
_ROWS_PER_BATCH = 16
_BUFFER = 1 << 20  # bytes of a column that are read at a time
_LABELS = 1 << 63  # what comes before it fits into the tables
_FILE = 1 << 40  # rows that no file has: an image's number is its file's times this, and its row


class ParquetSource(SourceSettings):
    """A column of images, `{bytes, path}` or bytes, beside a column of class indices."""

    kind: Literal["parquet"]
    files: ConfigLocation = Field(
        description="a file, a folder of *.parquet, or a pattern such as data/train-*.parquet"
    )
    image_column: str = Field("image", min_length=1)
    label_column: str = Field("label", min_length=1)


@contextmanager
def _opened(file: StoredFile) -> Iterator[pq.ParquetFile]:
    """Opens a Parquet file; what is wrong with it is said by the setting."""
    with reached(file.setting, file.location), file.open() as stream:
        try:
            yield pq.ParquetFile(stream, buffer_size=_BUFFER, pre_buffer=False)
        except pa.ArrowException as error:
            raise SourceError(f"{file.setting}: {file.location} is no Parquet file, or damaged: {error}") from error


def _is_bytes(column: pa.DataType) -> bool:
    return bool(pa.types.is_binary(column) or pa.types.is_large_binary(column))


def _image_path(settings: ParquetSource, schema: pa.Schema) -> str | None:
    """Finds where in a file the bytes of the images are."""
    column = schema.field(settings.image_column).type
    if _is_bytes(column):
        return settings.image_column
    if pa.types.is_struct(column) and column.get_field_index("bytes") >= 0 and _is_bytes(column.field("bytes").type):
        return f"{settings.image_column}.bytes"
    return None


def _check(settings: ParquetSource, file: StoredFile, schema: pa.Schema) -> None:
    """Refuses a file without the columns, or with others under their names."""
    for setting, name in (("image_column", settings.image_column), ("label_column", settings.label_column)):
        if name not in schema.names:
            columns = ", ".join(schema.names)
            raise SourceError(f"source.{setting}: {file.location} has no column '{name}', it has {columns}")
    label = schema.field(settings.label_column).type
    if not pa.types.is_integer(label):
        raise SourceError(
            f"source.label_column: '{settings.label_column}' of {file.location} holds {label}, not class indices from 0"
        )
    if _image_path(settings, schema) is None:
        found = schema.field(settings.image_column).type
        raise SourceError(
            f"source.image_column: '{settings.image_column}' of {file.location} holds {found}, not bytes of images"
        )


def _labels(settings: ParquetSource, file: StoredFile) -> Iterator[int | None]:
    """Reads the labels alone, one row group at a time."""
    with _opened(file) as table:
        _check(settings, file, table.schema_arrow)
        for group in range(table.num_row_groups):
            yield from table.read_row_group(group, [settings.label_column])[settings.label_column].to_pylist()


def _images(settings: ParquetSource, file: StoredFile, wanted: Sequence[int]) -> Iterator[tuple[int, Any]]:
    """Reads some rows' images, of the row groups alone that hold them."""
    rows = set(wanted)
    with _opened(file) as table:
        path = _image_path(settings, table.schema_arrow)
        first = 0
        for group in range(table.num_row_groups):
            row, first = first, first + table.metadata.row_group(group).num_rows
            if rows.isdisjoint(range(row, first)):
                continue
            for batch in table.iter_batches(_ROWS_PER_BATCH, [group], [path]):
                image = batch.column(0)
                image = image.field("bytes") if pa.types.is_struct(image.type) else image
                for value in image:
                    if row in rows:
                        yield row, value
                    row += 1


def _pieces(
    settings: ParquetSource, files: Sequence[StoredFile], wanted: frozenset[int]
) -> Iterator[tuple[int, Piece]]:
    by_file: dict[int, list[int]] = {}
    for image in wanted:
        by_file.setdefault(image // _FILE, []).append(image % _FILE)
    for number, rows in sorted(by_file.items()):
        for row, value in _images(settings, files[number], rows):
            data = value.as_py()
            reason = "the row holds no bytes of an image" if data is None else too_large(len(data))
            yield number * _FILE + row, ImageError(reason) if reason else data


def list_parquet(settings: ParquetSource) -> list[SourceItem]:
    """Lists the rows of Parquet files; of the images none is read.

    An image is known by its file's name and its row.

    Raises:
        SourceError: There are no files, or one has not the columns; the message names the setting.
    """
    found = find_matching(_SETTING, settings.files, ".parquet")
    for _, file in found:
        file.need_parts("Parquet")
    spool = Spool(_SETTING, partial(_pieces, settings, [file for _, file in found]))
    items, numbers = [], {}
    for number, (name, file) in enumerate(found):
        for row, label in enumerate(_labels(settings, file)):
            image_id = f"{text(name)}/{row}"
            if label is None or not 0 <= label < _LABELS:
                items.append(faulty_item(image_id, "the row has no label"))
                continue
            numbers[image_id] = number * _FILE + row
            items.append(SourceItem(image_id, label, partial(spool.read, numbers[image_id]), f"{file.stamp} {row}"))
    chosen = choose_items(items, settings.max_sources)
    spool.want(numbers[item.image_id] for item in chosen if item.fault is None)
    return chosen
