"""An ingest decoder for tests of the protocol: a real process that does what the image's bytes tell it to.

Its pixels are the number of images that it had seen before, so that a test sees which process answered.
"""

import ctypes
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial

from metrifier_core.ingest.frames import read_frame, write_frame

HEIGHT, WIDTH = 8, 9


def _say(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _prefix(header: int, body: int) -> bytes:
    return b"MIF1" + header.to_bytes(4, "big") + body.to_bytes(8, "big")


def _pixels(value: int) -> None:
    size = {"height": HEIGHT, "width": WIDTH}
    write_frame(sys.stdout.buffer, size, bytes([value]) * (3 * HEIGHT * WIDTH))


MISDEEDS: dict[bytes, Callable[[], object]] = {
    b"crash": lambda: ctypes.string_at(0),
    b"abort": os.abort,
    b"killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    b"exit": lambda: sys.exit(3),
    b"hang": lambda: time.sleep(600),
    b"garbage": lambda: _say(b"a library says hello\n" * 10),
    b"no-json": lambda: _say(_prefix(4, 0) + b"nope"),
    b"huge": lambda: _say(_prefix(2, 1 << 40) + b"{}"),
    b"short": lambda: write_frame(sys.stdout.buffer, {"height": HEIGHT, "width": WIDTH}, bytes(10)),
    b"words": lambda: write_frame(sys.stdout.buffer, {"height": "high", "width": None}, bytes(10)),
    b"reason": lambda: write_frame(sys.stdout.buffer, {"reason": "no DICOM for you"}),
}


def main() -> None:
    """Says hello, and answers until its input ends."""
    write_frame(sys.stdout.buffer, {"pid": os.getpid()})
    for seen in itertools.count():
        try:
            _, data = read_frame(sys.stdin.buffer, 1 << 20)
        except EOFError:
            return
        if data == b"crash-later" and seen:  # what the first image of a process survives
            os.abort()
        MISDEEDS.get(bytes(data), partial(_pixels, seen))()


if __name__ == "__main__":
    main()
