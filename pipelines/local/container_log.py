"""The log of a container, printed to the last line while the container runs."""

import sys
import threading
from collections.abc import Iterable, Iterator

from docker.models.containers import Container

_FOLLOW_SECONDS = 10  # for the rest of a followed log, once its container has ended

_PRINTING = threading.Lock()  # containers run side by side


class ContainerLog:
    """A container's log, printed line by line.

    A followed log may never end (podman can miss that a container has ended), or break off after a long silence. So the
    end of the container decides, after which the log is read once more.
    """

    def __init__(self, container: Container) -> None:
        """Start to print in a thread."""
        self._container = container
        self._printed = 0
        self._ended = False
        self._lock = threading.Lock()
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()

    def __repr__(self) -> str:
        return f"ContainerLog({self._container!r}, {self._printed} lines)"

    def end(self) -> None:
        """Print the rest; call it when the container has ended."""
        self._follower.join(_FOLLOW_SECONDS)
        with self._lock:
            self._ended = True
        for line in list(read_lines([self._container.logs()]))[self._printed :]:
            self._print(line)

    def _follow(self) -> None:
        try:
            for line in read_lines(self._container.logs(stream=True, follow=True)):
                with self._lock:
                    if self._ended:
                        return
                    self._print(line)
        except Exception:  # of several libraries
            return  # `end` reads what is missing

    def _print(self, line: bytes) -> None:
        self._printed += 1
        with _PRINTING:
            sys.stdout.write(f"{line.decode(errors='replace')}\n")


def read_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines, without line ends, of a log that arrives in pieces."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    if rest:
        yield rest
