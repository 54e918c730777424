"""Threads keep the order of the items, and run only a little ahead of whoever takes the results."""

import itertools
import os
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrifier_core.execution.parallel import batched, count_threads, parallel_map

THREADS = 2
MAX_AHEAD = THREADS * 16


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRIFIER_THREADS", str(THREADS))


class Counted:
    """Whole numbers, far more than may be taken, and how many were."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[int]:
        for self.taken in range(1, 10_001):
            yield self.taken - 1


def test_results_keep_the_order_of_the_items() -> None:
    def slowest_first(item: int) -> int:
        time.sleep((100 - item) / 50_000)
        return item * item

    assert list(parallel_map(slowest_first, range(100))) == [item * item for item in range(100)]


def test_there_are_as_many_threads_as_cores_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert count_threads() == THREADS
    monkeypatch.delenv("METRIFIER_THREADS")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 4}, raising=False)
    assert count_threads() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert count_threads() == os.cpu_count()


@pytest.mark.parametrize("asked", ["", "0", "-1", "two", "1.5"])
def test_a_number_of_threads_that_is_none_is_refused(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRIFIER_THREADS", asked)
    with pytest.raises(ValueError, match=f"^METRIFIER_THREADS: expected a whole number above 0, got '{asked}'$"):
        list(parallel_map(str, [0]))


def test_no_items_give_no_results() -> None:
    assert list(parallel_map(str, [])) == []


def test_items_are_worked_on_at_the_same_time() -> None:
    meeting = threading.Barrier(THREADS, timeout=10)
    assert len(list(parallel_map(lambda _: meeting.wait(), range(2 * THREADS)))) == 2 * THREADS


def test_items_are_read_only_a_little_ahead() -> None:
    items = Counted()
    results = parallel_map(lambda item: item, items)
    assert items.taken == 0, "nothing is read before it is asked for"
    for given_out in range(1, 200):
        assert next(results) == given_out - 1
        assert items.taken <= given_out + MAX_AHEAD
    assert items.taken > MAX_AHEAD, "but there is always work for the threads"


def test_a_failure_comes_in_its_turn() -> None:
    def fail_at_five(item: int) -> int:
        if item == 5:
            raise ValueError("five")
        return item

    items = Counted()
    results = parallel_map(fail_at_five, items)
    assert list(itertools.islice(results, 5)) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(results)
    assert items.taken <= 5 + MAX_AHEAD
    assert list(results) == [], "the rest is given up"


def test_a_failure_of_the_source_is_not_swallowed() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(parallel_map(str, broken()))


def test_threads_end_with_the_results() -> None:
    before = threading.active_count()
    results = parallel_map(str, Counted())
    next(results)
    assert threading.active_count() > before
    results.close()  # type: ignore[attr-defined]  # a generator
    assert threading.active_count() == before


@given(st.lists(st.integers()), st.integers(1, 10))
@settings(deadline=None)
def test_batches_have_one_size(items: list[int], size: int) -> None:
    batches = list(batched(iter(items), size))
    assert list(itertools.chain.from_iterable(batches)) == items
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(1 <= len(batch) <= size for batch in batches[-1:])
