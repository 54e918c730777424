"""The process that decodes may crash, hang, lie or be killed: one image is lost, the next is decoded."""

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrifier_core.images import ImageError
from metrifier_core.ingest.client import IngestDecoder, IngestError, find_ingest_decoder, ingest_command
from metrifier_core.ingest.frames import FrameError, read_frame, write_frame

FAKE = [sys.executable, "-m", "tests.helpers.fake_ingest"]


@pytest.fixture
def ingest() -> Iterator[IngestDecoder]:
    with IngestDecoder(FAKE, seconds=2) as decoder:
        yield decoder


def number(ingest: IngestDecoder, data: bytes = b"image") -> int:
    """How many images the process that answered had answered before."""
    pixels = ingest.decode(data, "TIFF")
    assert pixels.shape == (8, 9, 3)
    assert pixels.dtype == np.uint8
    return int(pixels[0, 0, 0])


# Frames


@given(st.dictionaries(st.text(max_size=20), st.integers() | st.text(max_size=20), max_size=5), st.binary(max_size=500))
def test_frames_arrive_as_they_were_sent(header: dict[str, int | str], body: bytes) -> None:
    stream = io.BytesIO()
    write_frame(stream, header, body)
    write_frame(stream, {"next": 1})
    stream.seek(0)
    assert read_frame(stream, 500) == (header, body)
    assert read_frame(stream, 0) == ({"next": 1}, b"")
    with pytest.raises(EOFError):
        read_frame(stream, 0)


@given(st.binary(max_size=200))
def test_other_bytes_are_no_frame(data: bytes) -> None:
    with pytest.raises((FrameError, EOFError)):
        read_frame(io.BytesIO(data), 100)


@pytest.mark.parametrize("text", [b"[1]", b"nope", b"\xff", b"1" * 5000])
def test_a_header_is_a_small_json_object(text: bytes) -> None:
    data = b"MIF1" + len(text).to_bytes(4, "big") + bytes(8) + text
    with pytest.raises(FrameError):
        read_frame(io.BytesIO(data), 100)


def test_a_body_that_is_too_large_is_refused_unread() -> None:
    stream = io.BytesIO()
    write_frame(stream, {}, bytes(101))
    stream.seek(0)
    with pytest.raises(FrameError, match="too large"):
        read_frame(stream, 100)
    assert stream.tell() < 101


# The process


def test_one_process_decodes_one_image_after_the_other(ingest: IngestDecoder) -> None:
    assert [number(ingest) for _ in range(3)] == [0, 1, 2]


def test_the_process_is_started_when_it_is_needed_and_ended_when_it_is_not() -> None:
    with IngestDecoder(["/nowhere/python"]):
        pass  # never asked
    with IngestDecoder(FAKE) as decoder:
        pid = int(decoder.versions()["pid"])
        os.kill(pid, 0)  # is there
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_reason_is_the_images(ingest: IngestDecoder) -> None:
    assert number(ingest) == 0
    with pytest.raises(ImageError, match="no DICOM for you"):
        ingest.decode(b"reason", "DICOM")
    assert number(ingest) == 2  # the same process goes on


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"crash", r"the TIFF crashed the ingest decoder \(SIGSEGV\)"),
        (b"abort", r"the TIFF crashed the ingest decoder \(SIGABRT\)"),
        (b"killed", "the TIFF had the ingest decoder killed, probably for want of memory"),
        (b"exit", "the TIFF made the ingest decoder end with status 3"),
        (b"hang", "the TIFF took the ingest decoder longer than 2 s"),
        (b"garbage", "the TIFF made the ingest decoder answer nonsense"),
        (b"no-json", "the TIFF made the ingest decoder answer nonsense"),
        (b"huge", "the TIFF made the ingest decoder answer nonsense"),
        (b"short", "the TIFF made the ingest decoder answer nonsense"),
        (b"words", "the TIFF made the ingest decoder answer nonsense"),
    ],
)
def test_an_image_that_ends_the_process_is_refused_and_the_next_is_decoded(
    image: bytes, reason: str, ingest: IngestDecoder
) -> None:
    with pytest.raises(ImageError, match=reason):
        ingest.decode(image, "TIFF")
    assert number(ingest) == 0
    assert number(ingest) == 1


def test_an_image_is_not_blamed_for_those_before_it(ingest: IngestDecoder) -> None:
    assert number(ingest) == 0
    assert number(ingest, b"crash-later") == 0  # by another process, whose first image it is


def test_an_image_that_the_process_does_not_read_is_given_up() -> None:
    deaf = "import time; from tests.helpers.fake_ingest import *; write_frame(sys.stdout.buffer, {}); time.sleep(600)"
    with (
        IngestDecoder([sys.executable, "-c", deaf], seconds=1) as decoder,
        pytest.raises(ImageError, match="longer than 1 s"),
    ):
        decoder.decode(bytes(1 << 22), "TIFF")  # more than a pipe holds


def test_pixels_beyond_the_limit_are_not_read(ingest: IngestDecoder) -> None:
    assert ingest.decode(b"image", "TIFF", max_pixels=72).shape == (8, 9, 3)
    with pytest.raises(ImageError, match="nonsense"):
        ingest.decode(b"image", "TIFF", max_pixels=71)


def test_many_threads_ask_one_process(ingest: IngestDecoder) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda _: number(ingest), range(40))) == list(range(40))


def test_a_process_that_does_not_start_is_the_stages_fault() -> None:
    for command, reason in (
        (["/nowhere/python"], "does not start: .*No such file.*: make ingest-env"),
        ([sys.executable, "-c", "import nothing_of_that_name"], "ModuleNotFoundError: .*: make ingest-env"),
        ([sys.executable, "-c", "print('hello, this is no frame')"], "answer nonsense"),
        ([sys.executable, "-c", "pass"], "status 0"),
    ):
        with IngestDecoder(command) as decoder:
            with pytest.raises(IngestError, match=reason) as first:
                decoder.decode(b"image", "TIFF")
            with pytest.raises(IngestError) as second:
                decoder.decode(b"image", "TIFF")
            assert first.value is second.value  # it is not tried again


def test_a_process_that_takes_too_long_to_start_is_ended() -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with IngestDecoder(command, start_seconds=0.5) as decoder, pytest.raises(IngestError, match=r"longer than 0\.5 s"):
        decoder.decode(b"image", "TIFF")


def test_no_thread_is_left_behind(ingest: IngestDecoder) -> None:
    before = threading.active_count()
    for _ in range(20):
        number(ingest)
    time.sleep(0.05)
    assert threading.active_count() <= before


def test_what_libraries_print_is_no_frame() -> None:
    chatter = """
import os, sys
from metrifier_core.ingest.frames import read_frame, write_frame
from metrifier_core.ingest.worker import _private_pipes
requests, replies = _private_pipes()
os.system("echo a child says hello")
os.write(1, b"a library says hello")
print("Python says hello", sys.stdin.read(), flush=True)
write_frame(replies, read_frame(requests, 9)[0])
"""
    request = io.BytesIO()
    write_frame(request, {"image": 1})
    done = subprocess.run([sys.executable, "-c", chatter], input=request.getvalue(), capture_output=True, check=True)
    assert read_frame(io.BytesIO(done.stdout), 0) == ({"image": 1}, b"")
    assert len(done.stdout) == 16 + len('{"image": 1}')
    assert done.stderr.count(b"says hello") == 3


# The environment


def test_an_empty_variable_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRIFIER_INGEST_PYTHON", "")
    assert ingest_command() is None
    assert find_ingest_decoder() is None


def test_the_variable_names_the_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("METRIFIER_INGEST_PYTHON", sys.executable)
    command = ingest_command()
    assert command is not None
    assert command[:2] == [sys.executable, "-I"]
    monkeypatch.setenv("METRIFIER_INGEST_PYTHON", str(tmp_path / "python"))
    with pytest.raises(ValueError, match="METRIFIER_INGEST_PYTHON: there is no file"):
        ingest_command()
