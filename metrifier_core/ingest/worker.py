"""The ingest decoder's process: answers a frame with an image's bytes by one with its pixels, or with a reason.

Started by `client`, in the environment of tensorflow-io. It says nothing on standard output but frames: libraries that
print are led to standard error, a file whose lines say whether they went on over damaged data.
"""

import contextlib
import os
import re
import resource
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from metrifier_core.ingest.frames import read_frame, write_frame

_LOG = 2  # standard error, a file
_MAX_LOG = 16 << 20
_LOG_READ = 1 << 16
_CHANNELS = 3
# libtiff marks its warnings, all but one, DCMTK its errors; the other libraries fail by themselves.
_COMPLAINTS = {
    "TIFF": re.compile(r"^(?!.*(?:Warning|Bad value \d+ for \"Orientation\" tag))(?:memory: )?(.*\S.*)$", re.MULTILINE),
    "DICOM": re.compile(r"^[EF]: (.*)$", re.MULTILINE),
}


def main(memory: int, max_bytes: int) -> None:
    """Answers until standard input ends.

    Args:
        memory: The most bytes of address space that this process takes.
        max_bytes: The most bytes that a file may have.
    """
    requests, replies = _private_pipes()
    _limit(memory)

    import tensorflow as tf
    import tensorflow_io as tfio

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    write_frame(replies, {"tensorflow": tf.__version__, "tensorflow_io": tfio.__version__})
    while True:
        try:
            request, data = read_frame(requests, max_bytes)
        except EOFError:
            return
        signal.alarm(request["seconds"])  # for a process whose parent is gone: the parent itself is not as patient
        pixels = _decode(bytes(data), request)
        signal.alarm(0)
        if isinstance(pixels, str):
            write_frame(replies, {"reason": pixels})
        else:
            height, width, _ = pixels.shape
            write_frame(replies, {"height": height, "width": width}, memoryview(pixels).cast("B"))


def _decode(data: bytes, request: Mapping[str, Any]) -> Any:
    """The pixels, or the reason why there are none."""
    import numpy as np
    import tensorflow as tf

    from metrifier_core.ingest.decoders import DecodingError, decode
    from metrifier_core.ingest.greyscale import GreyScaleError

    name = request["format"]
    os.ftruncate(_LOG, 0)
    os.lseek(_LOG, 0, os.SEEK_SET)
    try:
        pixels = np.ascontiguousarray(decode(data, request))
    except (DecodingError, GreyScaleError) as error:
        return str(error)
    except (MemoryError, tf.errors.ResourceExhaustedError):
        return f"the {name} does not fit into the ingest decoder's memory"
    except tf.errors.OpError as error:
        return f"the {name} cannot be decoded: {_complaint(name) or _first_words(error.message)}"
    if complaint := _complaint(name):
        return f"the {name} cannot be decoded: {complaint}"
    if pixels.size > _CHANNELS * request["max_pixels"]:
        return f"the {name} has more pixels than its header says"
    return pixels


def _complaint(name: str) -> str | None:
    """What a library said on standard error of damage that it decoded over."""
    if name not in _COMPLAINTS:
        return None
    log = os.pread(_LOG, _LOG_READ, 0).decode(errors="replace")
    found = _COMPLAINTS[name].search(log)
    return _first_words(found[1]) if found else None


def _first_words(text: str) -> str:
    """An operation's message without its node's name, and not too much of it."""
    text = re.sub(r"^\{\{.*?\}\} *| *\[Op:.*", "", text, flags=re.DOTALL)
    return " ".join(text.split())[:200]


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Takes the pipes away from whatever reads or prints by habit."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    os.dup2(_LOG, 1)
    return requests, replies


def _limit(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_LOG, _MAX_LOG))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # where memory ends, this process goes, not the stage
        Path("/proc/self/oom_score_adj").write_text("1000")
