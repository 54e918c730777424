"""Scores as rows of a table."""

import csv
import json
import os
from enum import StrEnum
from typing import TextIO

from metrifier_core.scoring.score import QUALITY_DECIMALS, Score, decide, round_quality


class TableFormat(StrEnum):
    """How a table of scores is written."""

    CSV = "csv"
    JSONL = "jsonl"


def shown_path(path: str) -> str:
    """Makes text of a file's name, which may be any bytes."""
    # A table of lines ends one here, and csv would not quote it.
    return os.fsencode(path).decode(errors="backslashreplace").replace("\r", "\\r")


class ScoreTable:
    """Writes a row a file: its path, its quality, what is decided where there is a threshold, and its error."""

    def __init__(
        self, stream: TextIO, table_format: TableFormat = TableFormat.CSV, threshold: float | None = None
    ) -> None:
        """Begins a table.

        Args:
            stream: Where it goes.
            table_format: CSV has a line of names first and nothing for what is missing; in JSON lines that is null.
            threshold: The least quality that is accepted; without one there is no column `decision`.
        """
        self._stream = stream
        self._threshold = threshold
        self._csv = csv.writer(stream, lineterminator="\n") if table_format is TableFormat.CSV else None
        if self._csv is not None:
            decision = () if threshold is None else ("decision",)
            self._csv.writerow(["path", "quality", *decision, "error"])

    def write(self, score: Score) -> None:
        """Writes one row."""
        path, quality = shown_path(score.path), score.quality
        decision = {} if self._threshold is None else {"decision": decide(quality, self._threshold)}
        if self._csv is not None:
            written = "" if quality is None else f"{quality:.{QUALITY_DECIMALS}f}"
            self._csv.writerow([path, written, *decision.values(), score.error or ""])
            return
        rounded = None if quality is None else round_quality(quality)
        row = {"path": path, "quality": rounded, **decision, "error": score.error}
        self._stream.write(json.dumps(row, ensure_ascii=False) + "\n")
