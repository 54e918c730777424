"""The package's side of the ingest decoder: start the process, send it files, and survive its crashes."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any, Self

import numpy as np

from metrifier_core.images import MAX_PIXELS, ImageError, RgbImage, check_image
from metrifier_core.settings.environment import INGEST_PYTHON_VARIABLE

REMEDY = "make ingest-env"

_PACKAGE = Path(__file__).resolve().parents[1]
_MAX_MEMORY = 8 << 30  # bytes of address space
_MAX_HEADER = 4096
_EXIT_SECONDS = 10  # for a process that has closed its connection
_CHANNELS = 3
_INVALID_REPLY = "sent an invalid reply"

# The process sees the package's own files only, not the packages that are installed beside it.
_BOOT = f"""
import sys, types
package = types.ModuleType("metrifier_core")
package.__path__ = [sys.argv[1]]
sys.modules["metrifier_core"] = package
from metrifier_core.ingest.worker import main
main({_MAX_MEMORY})
"""


class IngestError(RuntimeError):
    """A failure of the ingest decoder itself, not of an image."""


class _LostError(Exception):
    """A process that cannot be used any more; the message is a predicate, such as "crashed"."""


class IngestDecoder:
    """A process that decodes one image at a time, for any number of threads.

    The process starts with the first request. One that crashes, hangs, runs out of memory or sends an invalid reply is
    killed, and the next image gets a new process. An image is rejected for that only if it was the first of its
    process; otherwise it is tried again in a new one. The result therefore never depends on the images before it.
    """

    name = "tensorflow-io"

    def __init__(self, command: Sequence[str], *, start_seconds: float = 300, seconds: float = 60) -> None:
        """Store the settings; no process is started.

        Args:
            command: Starts the process; the number of the file descriptor of its connection is appended.
            start_seconds: Time limit for the start.
            seconds: Time limit for one image.
        """
        self._command = command
        self._start_seconds = start_seconds
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._failure: IngestError | None = None

    def __repr__(self) -> str:
        return f"<IngestDecoder {self._command[0]}, {'running' if self._process else 'not running'}>"

    def decode(self, data: bytes, file_format: str, *, orientation: int = 1, max_pixels: int = MAX_PIXELS) -> RgbImage:
        """Decode the bytes of an image file.

        Args:
            data: The whole file, at most `images.MAX_BYTES`.
            file_format: TIFF or DICOM.
            orientation: The EXIF orientation, 1 to 8, in the header of a TIFF.
            max_pixels: The limit of pixels.

        Returns:
            uint8 (height, width, 3), RGB, upright, read-only.

        Raises:
            ImageError: The image cannot be decoded, or the process did not survive it.
            IngestError: The process does not start.
        """
        request = {
            "format": file_format,
            "orientation": orientation,
            "max_pixels": max_pixels,
            "seconds": int(2 * self._seconds) + 1,
        }
        with self._lock:
            while True:
                process = self._process or self._start()
                try:
                    image = process.decode(request, data, self._seconds)
                    break
                except _LostError as error:
                    self._stop()
                    if process.answered == 0:
                        raise ImageError(f"{file_format}: the ingest decoder {error}") from error
                except BaseException:  # on Ctrl-C too: the next request must not read this one's reply
                    self._stop()
                    raise
        if isinstance(image, str):
            raise ImageError(image)
        return check_image(image)

    def versions(self) -> dict[str, str]:
        """Return the versions of `tensorflow` and `tensorflow_io` in the process.

        Raises:
            IngestError: The process does not start.
        """
        with self._lock:
            return dict((self._process or self._start()).versions)

    def close(self) -> None:
        """Stop the process."""
        with self._lock:
            self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _start(self) -> "_Process":
        if self._failure is not None:
            raise self._failure
        try:
            self._process = _Process(self._command, self._start_seconds)
        except IngestError as error:
            self._failure = error
            raise
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None


class _Process:
    """A running ingest decoder.

    Its connection carries a JSON object and the file's bytes one way, a JSON object and the pixels the other way. Its
    standard output and error go to a file, which the process empties before every image.
    """

    def __init__(self, command: Sequence[str], seconds: float) -> None:
        self.answered = 0
        self._timed_out = False
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._connection, child_end = Pipe()
        try:
            with child_end:
                self._child = subprocess.Popen(  # noqa: S603
                    [*command, str(child_end.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=self._log,
                    pass_fds=[child_end.fileno()],
                    env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
                    start_new_session=True,  # Ctrl-C reaches the stage only, which then stops this process
                )
        except OSError as error:
            self._close()
            raise IngestError(f"the ingest decoder does not start: {error}: {REMEDY}") from error
        try:
            with self._watched(seconds):
                self.versions: dict[str, str] = dict(self._receive())
        except _LostError as error:
            reason = self._read_last_line() or f"it {error}"
            self.stop()
            raise IngestError(f"the ingest decoder does not start: {reason}: {REMEDY}") from error

    def decode(self, request: dict[str, Any], data: bytes, seconds: float) -> RgbImage | str:
        """Return the pixels, or the reason why there are none."""
        with self._watched(seconds):
            self._connection.send_bytes(json.dumps(request).encode())
            self._connection.send_bytes(data)
            reply = self._receive()
            image: RgbImage | str
            if "reason" in reply:
                image = str(reply["reason"])
            else:
                shape = reply["height"], reply["width"], _CHANNELS
                pixels = self._connection.recv_bytes(_CHANNELS * request["max_pixels"])
                image = np.frombuffer(pixels, np.uint8).reshape(shape)
        self.answered += 1
        return image

    def stop(self) -> None:
        self._child.kill()
        self._child.wait()
        self._close()

    def _close(self) -> None:
        self._connection.close()
        self._log.close()

    def _receive(self) -> Any:
        return json.loads(self._connection.recv_bytes(_MAX_HEADER))

    @contextlib.contextmanager
    def _watched(self, seconds: float) -> Iterator[None]:
        """Kill the process after `seconds`, which ends every read and write; raise _LostError if it cannot go on."""
        timer = threading.Timer(seconds, self._kill)
        timer.start()
        try:
            yield
        except (ValueError, TypeError, KeyError) as error:
            raise _LostError(_INVALID_REPLY) from error
        except (EOFError, OSError) as error:
            timer.cancel()
            # After a message above its limit, a connection is not readable any more.
            raise _LostError(self._describe_end(seconds) if self._connection.readable else _INVALID_REPLY) from error
        finally:
            timer.cancel()

    def _kill(self) -> None:
        self._timed_out = True
        self._child.kill()

    def _describe_end(self, seconds: float) -> str:
        try:
            status = self._child.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            return "closed its connection"
        if self._timed_out:
            return f"took longer than {seconds:g} s"
        if status == -signal.SIGKILL:
            return "was killed, probably for lack of memory"
        return f"crashed ({signal.Signals(-status).name})" if status < 0 else f"exited with status {status}"

    def _read_last_line(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else ""


def ingest_command() -> list[str] | None:
    """Return the command that starts the ingest decoder, or None if its environment is not installed.

    Raises:
        ValueError: METRIFIER_INGEST_PYTHON names a file that does not exist.
    """
    variable = os.environ.get(INGEST_PYTHON_VARIABLE)
    python = Path(variable) if variable else _PACKAGE.parent / "build" / "ingest-venv" / "bin" / "python"
    if variable == "" or (variable is None and not python.exists()):
        return None
    if not python.is_file():
        raise ValueError(f"{INGEST_PYTHON_VARIABLE}: there is no file {python}")
    return [str(python), "-I", "-c", _BOOT, str(_PACKAGE)]


def find_ingest_decoder() -> IngestDecoder | None:
    """Return the ingest decoder, not started yet, or None if its environment is not installed.

    Raises:
        ValueError: METRIFIER_INGEST_PYTHON names a file that does not exist.
    """
    command = ingest_command()
    return None if command is None else IngestDecoder(command)
