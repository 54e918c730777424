"""What a container says, passed on while it runs, and to the last line."""

import sys
import threading
from collections.abc import Iterable, Iterator

from docker.models.containers import Container

from metrifier_core.execution.progress import FAILED, LINE_PREFIX

_LAST_WORDS = 10  # seconds for what has been said, once a container has ended

_PRINTING = threading.Lock()


def say(line: str) -> None:
    """Writes where KFP's own runner prints; containers run side by side."""
    with _PRINTING:
        sys.stdout.write(f"{line}\n")


class ContainerLog:
    """Follows a container's log.

    An engine may never end a log that it is asked to follow (podman now and then misses that a container has ended), or
    give up on one that is silent for long: the end of the container is what counts, and the log is then read once more.

    Attributes:
        failed: Whether a stage said in it that it failed.
    """

    def __init__(self, container: Container) -> None:
        """Begins to pass on, in a thread of its own."""
        self.failed = False
        self._container = container
        self._said = 0
        self._ended = False
        self._turn = threading.Lock()
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()

    def end(self) -> None:
        """Passes on what is left, when the container has ended."""
        self._follower.join(_LAST_WORDS)
        with self._turn:
            self._ended = True
        for line in list(read_lines([self._container.logs()]))[self._said :]:
            self._pass_on(line)

    def _follow(self) -> None:
        try:
            for line in read_lines(self._container.logs(stream=True, follow=True)):
                with self._turn:
                    if self._ended:
                        return
                    self._pass_on(line)
        except Exception:  # of several libraries
            return  # what is missing is read at the end

    def _pass_on(self, line: bytes) -> None:
        text = line.decode(errors="replace")
        self.failed = self.failed or (text.strip().startswith(LINE_PREFIX) and FAILED in text)
        self._said += 1
        say(text)


def read_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Puts lines together of the pieces in which a log arrives, without their ends."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    if rest:
        yield rest
