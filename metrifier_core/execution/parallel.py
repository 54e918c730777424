"""Work on many items by several threads, in order and with a bounded number of them in memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from metrifier_core.settings.environment import THREADS_VARIABLE

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD_A_THREAD = 4


def count_threads() -> int:
    """Counts the threads to work on: `METRIFIER_THREADS` where that is set, else the cores that this process may use.

    Raises:
        ValueError: The variable is no whole number above zero.
    """
    asked = os.environ.get(THREADS_VARIABLE)
    if asked is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not asked.isascii() or not asked.isdigit() or not int(asked):
        raise ValueError(f"{THREADS_VARIABLE}: expected a whole number above 0, got '{asked}'")
    return int(asked)


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
) -> Iterator[Result]:
    """Applies a function to items on some threads; OpenCV, Pillow and onnxruntime let go of the lock.

    Args:
        function: What to apply.
        items: What to apply it to; read only a little ahead of the results.
        threads: How many; as `count_threads` says where None.

    Yields:
        The results, in the order of the items.
    """
    threads = threads or count_threads()
    remaining = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[Result]] = deque()
        for item in islice(remaining, threads * _AHEAD_A_THREAD):
            pending.append(pool.submit(function, item))
        while pending:
            result = pending.popleft().result()
            for item in islice(remaining, 1):
                pending.append(pool.submit(function, item))
            yield result


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Cuts items into lists of one size; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
