"""An ingest decoder for tests of the protocol: a real process that does what the image's bytes tell it to.

Its pixels are the number of images that it had seen before, so that a test sees which process answered.
"""

import ctypes
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

HEIGHT, WIDTH = 8, 9
PIXELS = 3 * HEIGHT * WIDTH

CONNECTION: "Connection[Any, Any]" = Connection(int(sys.argv[-1]))


def send(values: object, *messages: bytes) -> None:
    """Send JSON, and what follows it."""
    for message in (json.dumps(values).encode(), *messages):
        CONNECTION.send_bytes(message)


def _send_pixels(value: int, height: object = HEIGHT, width: object = WIDTH, size: int = PIXELS) -> None:
    send({"height": height, "width": width}, bytes([value]) * size)


def _send_raw(data: bytes) -> None:
    os.write(CONNECTION.fileno(), data)


def _chatter() -> None:
    subprocess.run(["/bin/sh", "-c", "echo a child says hello"], check=True)
    os.write(1, b"a library says hello")
    sys.stdout.write(f"Python says hello{sys.stdin.read()}")
    sys.stdout.flush()
    _send_pixels(0)


MISDEEDS: dict[bytes, Callable[[], object]] = {
    b"crash": lambda: ctypes.string_at(0),
    b"abort": os.abort,
    b"killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    b"exit": lambda: sys.exit(3),
    b"hang": lambda: time.sleep(600),
    b"garbage": lambda: _send_raw(b"a library says hello\n" * 10),
    b"no-json": lambda: CONNECTION.send_bytes(b"nope"),
    b"no-text": lambda: CONNECTION.send_bytes(b"\xff"),
    b"no-object": lambda: send([1]),
    b"no-size": lambda: send({}),
    b"long": lambda: CONNECTION.send_bytes(b"1" * 5000),
    b"huge": lambda: _send_raw(b"\xff\xff\xff\xff" + (1 << 40).to_bytes(8, "big")),
    b"half": lambda: (_send_raw(b"\0\0\0\x09{}"), sys.exit(3)),
    b"short": partial(_send_pixels, 0, size=10),
    b"words": partial(_send_pixels, 0, "high", None),
    b"chatter": _chatter,
    b"reason": lambda: send({"reason": "no DICOM for you"}),
}


def main() -> None:
    """Says hello, and answers until its input ends."""
    send({"pid": os.getpid()})
    for seen in itertools.count():
        try:
            _, data = CONNECTION.recv_bytes(), CONNECTION.recv_bytes()
        except EOFError:
            return
        if data == b"crash-later" and seen:  # what the first image of a process survives
            os.abort()
        MISDEEDS.get(data, partial(_send_pixels, seen))()


if __name__ == "__main__":
    main()
