"""What child processes and containers share as places where KFP's local runner executes tasks."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from pipelines.graph.images import Images

KILLED = 137
"""Exit status of a task that got SIGKILL, as a shell and a container engine report it."""


class Place(ABC):
    """Where the tasks of one run are executed.

    Attributes:
        kind: What a task is there, for messages.
        names: The stages' images as KFP knows them. It caches by image and arguments: all else that a task depends on
            is in the tag.
        code: Fingerprint of the code that runs there.
        statuses: Exit status of each stage that failed.
    """

    kind: ClassVar[str]

    def __init__(self, names: Images, code: str) -> None:
        self.names = names
        self.code = code
        self.statuses: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(code={self.code!r}, statuses={self.statuses})"

    @abstractmethod
    def used(self) -> contextlib.AbstractContextManager[None]:
        """Make KFP execute tasks here inside the context."""

    @abstractmethod
    def stop(self) -> None:
        """Kill the running tasks, and every one that is started from now on."""

    def end_task(self, command: Sequence[str], status: int) -> int:
        """Record the exit status of a task that failed, and return it for KFP."""
        if status:
            self.statuses[stage_of(command)] = status
        return status

    def failures(self, reasons: Path) -> list[str]:
        """Return why stages failed: the reason that a stage wrote, else its exit status.

        Args:
            reasons: The folder that `FAILURES_VARIABLE` names.
        """
        failures = []
        for stage, status in self.statuses.items():
            file = reasons / stage
            killed = " (killed, perhaps out of memory)" if status in {KILLED, -9} else ""
            default = f"its {self.kind} ended with status {status}{killed}"
            lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else [default]
            failures += [f"{stage}: failed: {line}" for line in dict.fromkeys(lines)]
        return failures


def stage_of(command: Sequence[str]) -> str:
    """Return the name of the stage that a command of KFP's executes."""
    option = "--function_to_execute"
    return command[command.index(option) + 1] if option in command else "a stage"


@contextlib.contextmanager
def replaced(module: ModuleType, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Replace a function of KFP's task handlers, which have no public way to change how a task is started."""
    original = getattr(module, name)
    setattr(module, name, function)
    try:
        yield
    finally:
        setattr(module, name, original)
