"""Progress of long work: a bar on a terminal, a line every few seconds in a log."""

import sys
from collections.abc import Iterable
from typing import TextIO, TypeVar, cast

from tqdm import tqdm

FAILED = ": failed: "
"""What stands between a stage's name and the reason why it failed."""

LINE_PREFIX = "metrifier: "
"""What every line of a stage begins with, so that a runner can tell it from its own log."""

_SECONDS_BETWEEN_LINES = 3.0

Item = TypeVar("Item")


class _LinePerUpdate:
    """Turns a bar's carriage returns into whole lines, for logs that keep only those."""

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
    """Iterates over items and shows how far it is, on standard error.

    Args:
        items: What to iterate over.
        description: What is being done.
        total: How many items there are, where `len` cannot tell.
        unit: What one item is called.
        log: Whether to write lines where there is no terminal; a command in a pipe says nothing.

    Returns:
        The same items.
    """
    if sys.stderr.isatty():
        return tqdm(items, description, total=total, unit=f" {unit}", leave=False)
    if not log:
        return items
    # Only `write` and `flush` are asked of the stream.
    stream = cast("TextIO", _LinePerUpdate(sys.stderr))
    return tqdm(
        items,
        description,
        total=total,
        unit=f" {unit}",
        file=stream,
        ascii=True,
        mininterval=_SECONDS_BETWEEN_LINES,
        delay=_SECONDS_BETWEEN_LINES,
        leave=False,
    )


def say(text: str) -> None:
    """Prints one line about a stage on standard error."""
    print(f"{LINE_PREFIX}{text}", file=sys.stderr, flush=True)  # noqa: T201
