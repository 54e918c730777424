"""Tables of scores, as CSV or JSON lines."""

import csv
import json
import os
from enum import StrEnum
from typing import TextIO

from metrifier_core.scoring.score import QUALITY_DECIMALS, Score, decide, round_quality


class TableFormat(StrEnum):
    """Format of a table of scores."""

    CSV = "csv"
    JSONL = "jsonl"


def shown_path(path: str) -> str:
    """Return the name of a file, which may be any bytes, as printable text."""
    # csv does not quote a carriage return, which readers take for the end of a line.
    return os.fsencode(path).decode(errors="backslashreplace").replace("\r", "\\r")


class ScoreTable:
    """Writer of a table of scores, a row for each file: path, quality, decision (with a threshold) and error."""

    def __init__(
        self, stream: TextIO, table_format: TableFormat = TableFormat.CSV, threshold: float | None = None
    ) -> None:
        """Begin a table.

        Args:
            stream: Where the table goes.
            table_format: CSV begins with the names of the columns and leaves missing values empty; JSON has null.
            threshold: Lowest quality to accept, in [0, 1]; None for a table without the column `decision`.
        """
        self._stream = stream
        self._threshold = threshold
        self._columns = ["path", "quality", *([] if threshold is None else ["decision"]), "error"]
        self._csv = csv.writer(stream, lineterminator="\n") if table_format is TableFormat.CSV else None
        if self._csv is not None:
            self._csv.writerow(self._columns)

    def __repr__(self) -> str:
        table_format = TableFormat.JSONL if self._csv is None else TableFormat.CSV
        return f"ScoreTable(table_format={table_format.value!r}, threshold={self._threshold})"

    def write(self, score: Score) -> None:
        """Write one row."""
        quality = None if score.quality is None else round_quality(score.quality)
        decision = () if self._threshold is None else (decide(quality, self._threshold),)
        row = [shown_path(score.path), quality, *decision, score.error]
        if self._csv is None:
            self._stream.write(json.dumps(dict(zip(self._columns, row, strict=True)), ensure_ascii=False) + "\n")
        else:
            row[1] = None if quality is None else f"{quality:.{QUALITY_DECIMALS}f}"
            self._csv.writerow(row)
