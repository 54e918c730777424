"""The process that decodes may crash, hang, lie or be killed: one image is lost, the next is decoded."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from metrifier_core.images import ImageError
from metrifier_core.ingest.client import IngestDecoder, IngestError, find_ingest_decoder, ingest_command

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
        (b"crash", r"crashed \(SIGSEGV\)"),
        (b"abort", r"crashed \(SIGABRT\)"),
        (b"killed", "was killed, probably for lack of memory"),
        (b"exit", "exited with status 3"),
        (b"half", "exited with status 3"),
        (b"hang", "took longer than 2 s"),
        (b"garbage", "sent an invalid reply"),
        (b"no-json", "sent an invalid reply"),
        (b"no-text", "sent an invalid reply"),
        (b"no-object", "sent an invalid reply"),
        (b"no-size", "sent an invalid reply"),
        (b"long", "sent an invalid reply"),
        (b"huge", "sent an invalid reply"),
        (b"short", "sent an invalid reply"),
        (b"words", "sent an invalid reply"),
    ],
)
def test_an_image_that_ends_the_process_is_refused_and_the_next_is_decoded(
    image: bytes, reason: str, ingest: IngestDecoder
) -> None:
    with pytest.raises(ImageError, match=f"^TIFF: the ingest decoder {reason}$"):
        ingest.decode(image, "TIFF")
    assert number(ingest) == 0
    assert number(ingest) == 1


def test_an_image_is_not_blamed_for_those_before_it(ingest: IngestDecoder) -> None:
    assert number(ingest) == 0
    assert number(ingest, b"crash-later") == 0  # by another process, whose first image it is


def test_an_image_that_the_process_does_not_read_is_given_up() -> None:
    deaf = "import time; from tests.helpers.fake_ingest import *; send({}); time.sleep(600)"
    with (
        IngestDecoder([sys.executable, "-c", deaf], seconds=1) as decoder,
        pytest.raises(ImageError, match="longer than 1 s"),
    ):
        decoder.decode(bytes(1 << 22), "TIFF")  # more than a pipe holds


def test_pixels_beyond_the_limit_are_not_read(ingest: IngestDecoder) -> None:
    assert ingest.decode(b"image", "TIFF", max_pixels=72).shape == (8, 9, 3)
    with pytest.raises(ImageError, match="invalid reply"):
        ingest.decode(b"image", "TIFF", max_pixels=71)


def test_many_threads_ask_one_process(ingest: IngestDecoder) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda _: number(ingest), range(40))) == list(range(40))


def test_a_process_that_does_not_start_is_the_stages_fault() -> None:
    for command, reason in (
        (["/nowhere/python"], "does not start: .*No such file.*: make ingest-env"),
        ([sys.executable, "-c", "import nothing_of_that_name"], "ModuleNotFoundError: .*: make ingest-env"),
        ([sys.executable, "-c", "import os, sys; os.write(int(sys.argv[-1]), b'hello' * 9)"], "invalid reply"),
        ([sys.executable, "-c", "from tests.helpers.fake_ingest import *; send([1])"], "invalid reply"),
        ([sys.executable, "-c", "pass"], "does not start: it exited with status 0: make ingest-env"),
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


def test_what_libraries_print_is_no_reply(ingest: IngestDecoder) -> None:
    assert number(ingest, b"chatter") == 0
    assert ingest._process is not None
    ingest._process._log.seek(0)
    assert ingest._process._log.read().count(b"says hello") == 3
    assert number(ingest) == 1


def test_it_says_whether_it_runs(ingest: IngestDecoder) -> None:
    assert repr(ingest) == f"<IngestDecoder {sys.executable}, not running>"
    assert number(ingest) == 0
    assert repr(ingest) == f"<IngestDecoder {sys.executable}, running>"


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
