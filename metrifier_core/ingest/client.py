"""The ingest decoder as the package sees it: a process that is started once, asked for pixels, and may die."""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

import numpy as np

from metrifier_core.images import MAX_BYTES, MAX_PIXELS, ImageError, RgbImage, check_image
from metrifier_core.ingest.frames import FrameError, read_frame, write_frame
from metrifier_core.settings.environment import INGEST_PYTHON_VARIABLE

REMEDY = "make ingest-env"

_PACKAGE = Path(__file__).resolve().parents[1]
_MEMORY = 8 << 30  # of address space
_LAST_SECONDS = 10  # for one that has closed its pipes to be gone
_CHANNELS = 3

# The package's files alone are reachable there, not the packages that it is installed beside.
_BOOT = f"""
import sys, types
package = types.ModuleType("metrifier_core")
package.__path__ = [sys.argv[1]]
sys.modules["metrifier_core"] = package
from metrifier_core.ingest.worker import main
main({_MEMORY}, {MAX_BYTES})
"""


class IngestError(RuntimeError):
    """The ingest decoder itself is at fault, not an image."""


class _LostError(Exception):
    """The process cannot be asked any more; the message says what it did, as if of an image."""


class IngestDecoder:
    """Decodes images in a process of its own, one at a time; any number of threads may ask.

    The process is started when it is first needed. One that crashes, hangs, runs out of memory or answers nonsense is
    ended, and the next image gets a new one. An image is blamed only where it is the first that a process has seen, so
    that what becomes of it does not depend on the images before it.
    """

    name = "tensorflow-io"

    def __init__(self, command: Sequence[str], *, start_seconds: float = 300, seconds: float = 60) -> None:
        """Prepares; nothing is started yet.

        Args:
            command: The process, which speaks `frames` on its standard input and output.
            start_seconds: How long it may take to say that it is ready.
            seconds: How long one image may take.
        """
        self._command = command
        self._start_seconds = start_seconds
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._failure: IngestError | None = None

    def decode(self, data: bytes, file_format: str, *, orientation: int = 1, max_pixels: int = MAX_PIXELS) -> RgbImage:
        """Decodes the bytes of an image file.

        Args:
            data: The whole file, at most `MAX_BYTES`.
            file_format: A key of `decoders.DECODERS`: TIFF, DICOM, AVIF, WebP or JPEG.
            orientation: EXIF's number from 1 to 8 in the header of a TIFF; the others' is found in the process.
            max_pixels: The most pixels that are accepted.

        Returns:
            uint8 (height, width, 3), RGB, upright, its own.

        Raises:
            ImageError: Whatever is wrong with the image, also that the process did not survive it.
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
                    answer, body = process.ask(request, data, _CHANNELS * max_pixels, self._seconds)
                    break
                except _LostError as lost:
                    self._stop()
                    if process.answered == 0:
                        raise ImageError(f"the {file_format} {lost}") from lost
                except BaseException:  # Ctrl-C: the answer to this must not be taken for the next one's
                    self._stop()
                    raise
        return _pixels(answer, body)

    def versions(self) -> dict[str, str]:
        """Says which versions decode: `tensorflow` and `tensorflow_io`.

        Raises:
            IngestError: The process does not start.
        """
        with self._lock:
            return dict((self._process or self._start()).greeting)

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
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
            self._process.end()
            self._process = None


class _Process:
    """One life of the process."""

    def __init__(self, command: Sequence[str], seconds: float) -> None:
        self.answered = 0
        self._timed_out = False
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (the process empties it before every image)
        try:
            self._child: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
                start_new_session=True,  # Ctrl-C is for the stage, which then ends this process
            )
        except OSError as error:
            self._log.close()
            raise IngestError(f"the ingest decoder does not start: {error}: {REMEDY}") from error
        self._stdin = cast("BinaryIO", self._child.stdin)
        self._stdout = cast("BinaryIO", self._child.stdout)
        try:
            with self._watched(seconds):
                self.greeting, _ = read_frame(self._stdout, 0)
        except _LostError as lost:
            reason = self._last_words() or lost
            self.end()
            raise IngestError(f"the ingest decoder does not start: {reason}: {REMEDY}") from lost

    def ask(
        self, request: dict[str, Any], data: bytes, max_body: int, seconds: float
    ) -> tuple[dict[str, Any], bytearray]:
        with self._watched(seconds):
            write_frame(self._stdin, request, data)
            answer, body = read_frame(self._stdout, max_body)
            if "reason" not in answer and not _fits(answer, body):
                raise FrameError("pixels of another size")
        self.answered += 1
        return answer, body

    def end(self) -> None:
        self._child.kill()
        self._child.wait()
        with contextlib.suppress(BrokenPipeError):  # what it did not take any more
            self._stdin.close()
        self._stdout.close()
        self._log.close()

    @contextlib.contextmanager
    def _watched(self, seconds: float) -> Iterator[None]:
        """Kills the process when its time is over, which ends every read and write; names what became of it."""
        timer = threading.Timer(seconds, self._kill)
        timer.start()
        try:
            yield
        except FrameError as error:
            raise _LostError(f"made the ingest decoder answer nonsense ({error})") from error
        except (EOFError, OSError) as error:
            timer.cancel()
            raise _LostError(self._fate(seconds)) from error
        finally:
            timer.cancel()

    def _kill(self) -> None:
        self._timed_out = True
        self._child.kill()

    def _fate(self, seconds: float) -> str:
        try:
            status = self._child.wait(_LAST_SECONDS)
        except subprocess.TimeoutExpired:
            return "made the ingest decoder hang up"
        if self._timed_out:
            return f"took the ingest decoder longer than {seconds:g} s"
        if status == -signal.SIGKILL:
            return "had the ingest decoder killed, probably for want of memory"
        if status < 0:
            return f"crashed the ingest decoder ({signal.Signals(-status).name})"
        return f"made the ingest decoder end with status {status}"

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else ""


def _fits(answer: dict[str, Any], body: bytearray) -> bool:
    height, width = answer.get("height"), answer.get("width")
    return isinstance(height, int) and isinstance(width, int) and len(body) == _CHANNELS * height * width


def _pixels(answer: dict[str, Any], body: bytearray) -> RgbImage:
    if "reason" in answer:
        raise ImageError(str(answer["reason"]))
    return check_image(np.frombuffer(body, np.uint8).reshape(answer["height"], answer["width"], _CHANNELS))


def ingest_command() -> list[str] | None:
    """Finds the ingest decoder's environment.

    Returns:
        The command that starts the decoder; None where there is no environment.

    Raises:
        ValueError: METRIFIER_INGEST_PYTHON names a file that is not there.
    """
    named = os.environ.get(INGEST_PYTHON_VARIABLE)
    python = Path(named) if named else _PACKAGE.parent / "build" / "ingest-venv" / "bin" / "python"
    if named == "" or (named is None and not python.exists()):
        return None
    if not python.is_file():
        raise ValueError(f"{INGEST_PYTHON_VARIABLE}: there is no file {python}")
    return [str(python), "-I", "-c", _BOOT, str(_PACKAGE)]


def find_ingest_decoder() -> IngestDecoder | None:
    """Finds the ingest decoder, which is not started yet; None where its environment has not been made.

    Raises:
        ValueError: METRIFIER_INGEST_PYTHON names a file that is not there.
    """
    command = ingest_command()
    return None if command is None else IngestDecoder(command)
