"""Parallel work on many items by threads, in order and with a bounded number of items in memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from metrifier_core.settings.environment import THREADS_VARIABLE

Item = TypeVar("Item")
Result = TypeVar("Result")

_PENDING_PER_THREAD = 4


def count_threads() -> int:
    """Return the number of threads to use: `METRIFIER_THREADS` or, if unset, the cores that this process may use.

    Raises:
        ValueError: The variable is not a whole number above 0.
    """
    value = os.environ.get(THREADS_VARIABLE)
    if value is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not value.isascii() or not value.isdigit() or not int(value):
        raise ValueError(f"{THREADS_VARIABLE}: expected a whole number above 0, got '{value}'")
    return int(value)


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
) -> Iterator[Result]:
    """Apply a function to items in threads, for work that releases the GIL as OpenCV, Pillow and onnxruntime do.

    Args:
        function: Called once for each item.
        items: Read only a little ahead of the results.
        threads: Number of threads; `count_threads()` if None.

    Yields:
        The results, in the order of the items.
    """
    threads = threads or count_threads()
    remaining = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[Result]] = deque()
        for item in islice(remaining, threads * _PENDING_PER_THREAD):
            pending.append(pool.submit(function, item))
        while pending:
            result = pending.popleft().result()
            for item in islice(remaining, 1):
                pending.append(pool.submit(function, item))
            yield result


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of `size` items; the last one may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
