"""Progress of long work: a bar on a terminal, a line every few seconds in a log."""

import sys
from collections.abc import Iterable
from typing import Any, TextIO, TypeVar

from tqdm import tqdm

LINE_PREFIX = "metrifier: "
"""The beginning of every line that a stage prints, which tells it from other output."""

_SECONDS_BETWEEN_LINES = 3.0

Item = TypeVar("Item")


class _LineWriter:
    """Writes each update of a bar as a line, for logs that keep whole lines alone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line:
            self._stream.write(f"{LINE_PREFIX}{line}\n")

    def flush(self) -> None:
        self._stream.flush()


def progress(
    items: Iterable[Item], description: str, *, total: int | None = None, unit: str, log: bool = True
) -> Iterable[Item]:
    """Iterate over items and show the progress on standard error.

    Args:
        items: What to iterate over.
        description: What is being done.
        total: Number of items, if `len` cannot tell.
        unit: Name of one item.
        log: Whether to write lines if standard error is no terminal.
    """
    terminal = sys.stderr.isatty()
    if not (terminal or log):
        return items
    seconds = _SECONDS_BETWEEN_LINES
    lines = {"file": _LineWriter(sys.stderr), "ascii": True, "mininterval": seconds, "delay": seconds}
    options: dict[str, Any] = {} if terminal else lines
    return tqdm(items, description, total=total, unit=f" {unit}", leave=False, **options)


def say(text: str) -> None:
    """Print one line about a stage on standard error."""
    print(f"{LINE_PREFIX}{text}", file=sys.stderr, flush=True)  # noqa: T201
