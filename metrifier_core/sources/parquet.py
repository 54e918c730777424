"""Parquet files of encoded images and labels, as in Hugging Face's data sets."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from metrifier_core.images import ImageError
from metrifier_core.settings.base import ConfigLocation
from metrifier_core.sources.finding import find_matching
from metrifier_core.sources.items import SourceItem, SourceSettings, escape_name, faulty_item
from metrifier_core.sources.spool import Piece, Spool
from metrifier_core.sources.storage import SourceError, StoredFile, reached, too_large

_ROWS_PER_BATCH = 16
_BUFFER = 1 << 20  # bytes of a column that are read at a time
_MAX_LABEL = (1 << 63) - 1  # of the tables' int64
_MAX_ROWS = 1 << 40  # more than any file has: an image's number is its file's index times this, plus its row


class ParquetSource(SourceSettings):
    """A column of images, `{bytes, path}` or bytes, beside a column of class indices."""

    location_setting: ClassVar[str] = "files"
    kind: Literal["parquet"]
    files: ConfigLocation = Field(
        description="a file, a folder of *.parquet, or a pattern such as data/train-*.parquet"
    )
    image_column: str = Field("image", min_length=1)
    label_column: str = Field("label", min_length=1)

    def list_images(self) -> list[SourceItem]:
        """List the rows without reading an image; an identity is the file's name and the row."""
        files = find_matching(self.files, ".parquet")
        for _, file in files:
            file.need_parts("Parquet")
        spool = Spool(partial(_pieces, self, [file for _, file in files]))
        items = []
        for index, (name, file) in enumerate(files):
            for row, label in enumerate(_labels(self, file)):
                image_id = f"{escape_name(name)}/{row}"
                if label is None or not 0 <= label <= _MAX_LABEL:
                    items.append(faulty_item(image_id, "the row has no label"))
                else:
                    items.append(spool.item(image_id, label, index * _MAX_ROWS + row, f"{file.stamp} {row}"))
        return spool.choose(items, self.max_sources)


@contextmanager
def _opened(file: StoredFile) -> Iterator[pq.ParquetFile]:
    with reached(file.location), file.open() as stream:
        try:
            yield pq.ParquetFile(stream, buffer_size=_BUFFER, pre_buffer=False)
        except pa.ArrowException as error:
            raise SourceError(f"{file.location} is not a Parquet file, or is damaged: {error}") from error


def _image_path(settings: ParquetSource, schema: pa.Schema) -> str | None:
    """Return the path of the column of the images' bytes; None where it holds something else."""
    path, column = settings.image_column, schema.field(settings.image_column).type
    if pa.types.is_struct(column) and column.get_field_index("bytes") >= 0:
        path, column = f"{path}.bytes", column.field("bytes").type
    return path if pa.types.is_binary(column) or pa.types.is_large_binary(column) else None


def _check(settings: ParquetSource, location: str, schema: pa.Schema) -> None:
    """Raise if a file lacks a column, or holds something else in it."""
    for setting in ("image_column", "label_column"):
        name = getattr(settings, setting)
        if name not in schema.names:
            raise SourceError(f"{location} has no column '{name}', it has {', '.join(schema.names)}", setting)
        column = schema.field(name).type
        if setting == "label_column" and not pa.types.is_integer(column):
            raise SourceError(f"'{name}' of {location} holds {column}, not class indices from 0", setting)
        if setting == "image_column" and _image_path(settings, schema) is None:
            raise SourceError(f"'{name}' of {location} holds {column}, not bytes of images", setting)


def _labels(settings: ParquetSource, file: StoredFile) -> Iterator[int | None]:
    """Read the labels alone, one row group at a time."""
    with _opened(file) as table:
        _check(settings, file.location, table.schema_arrow)
        for group in range(table.num_row_groups):
            yield from table.read_row_group(group, [settings.label_column])[settings.label_column].to_pylist()


def _images(settings: ParquetSource, file: StoredFile, wanted: set[int]) -> Iterator[tuple[int, Any]]:
    """Yield (row, bytes or None) of some rows, from the row groups that hold them."""
    with _opened(file) as table:
        path = _image_path(settings, table.schema_arrow)
        end = 0
        for group in range(table.num_row_groups):
            row, end = end, end + table.metadata.row_group(group).num_rows
            if wanted.isdisjoint(range(row, end)):
                continue
            for batch in table.iter_batches(_ROWS_PER_BATCH, [group], [path]):
                column = batch.column(0)
                for image in column.field("bytes") if pa.types.is_struct(column.type) else column:
                    if row in wanted:
                        yield row, image.as_py()
                    row += 1


def _pieces(
    settings: ParquetSource, files: Sequence[StoredFile], wanted: frozenset[int]
) -> Iterator[tuple[int, Piece]]:
    for index, numbers in groupby(sorted(wanted), lambda number: number // _MAX_ROWS):
        for row, data in _images(settings, files[index], {number % _MAX_ROWS for number in numbers}):
            fault = "the row holds no bytes of an image" if data is None else too_large(len(data))
            yield index * _MAX_ROWS + row, ImageError(fault) if fault else data
