"""Fixtures of all tests of the pipelines."""

import inspect
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import FrameType


def list_callers() -> list[inspect.FrameInfo]:
    """Return what `inspect.stack` does, without searching all loaded modules for sources."""
    frames = []
    caller: FrameType | None = sys._getframe(1)
    while caller is not None:
        code = caller.f_code
        frames.append(inspect.FrameInfo(caller, code.co_filename, caller.f_lineno, code.co_name, None, None))
        caller = caller.f_back
    return frames


@pytest.fixture(scope="package", autouse=True)
def swift_stacks() -> Iterator[None]:
    """Make KFP quick, which asks for the stack at every setting of a task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect, "stack", list_callers)
        yield
