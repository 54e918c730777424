"""The ingest decoder's process: receive the bytes of image files, send their pixels or the reason why there are none.

`client` starts it in tensorflow-io's environment. Standard output and error are one file; what libraries write to it
tells whether they decoded damaged data.
"""

import contextlib
import json
import os
import re
import resource
import signal
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_LOG = 2  # standard error
_MAX_LOG = 16 << 20
_MAX_LOG_READ = 1 << 16
# libtiff marks its warnings (all but one), DCMTK its errors.
_COMPLAINTS = {
    "TIFF": re.compile(r"^(?!.*(?:Warning|Bad value \d+ for \"Orientation\" tag))(?:memory: )?(.*\S.*)$", re.MULTILINE),
    "DICOM": re.compile(r"^[EF]: (.*)$", re.MULTILINE),
}


def main(max_memory: int) -> None:
    """Answer requests until the connection, whose file descriptor is the last argument, is closed.

    Args:
        max_memory: Limit of this process' address space, in bytes.
    """
    connection = Connection(int(sys.argv[-1]))
    os.set_inheritable(connection.fileno(), False)
    _set_limits(max_memory)

    import tensorflow as tf
    import tensorflow_io as tfio

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    _send(connection, {"tensorflow": tf.__version__, "tensorflow_io": tfio.__version__})
    while True:
        try:
            request, data = json.loads(connection.recv_bytes()), connection.recv_bytes()
        except (EOFError, OSError):
            return
        signal.alarm(request["seconds"])  # ends this process if its parent is gone; a parent loses patience earlier
        pixels = _decode(data, request)
        signal.alarm(0)
        if isinstance(pixels, str):
            _send(connection, {"reason": pixels})
        else:
            height, width, _ = pixels.shape
            _send(connection, {"height": height, "width": width})
            connection.send_bytes(memoryview(pixels).cast("B"))


def _send(connection: "Connection[Any, Any]", values: Mapping[str, Any]) -> None:
    connection.send_bytes(json.dumps(values).encode())


def _decode(data: bytes, request: Mapping[str, Any]) -> Any:
    """Return the pixels, or the reason why there are none."""
    import numpy as np
    import tensorflow as tf

    from metrifier_core.ingest.decoders import decode
    from metrifier_core.ingest.greyscale import DecodingError

    name = request["format"]
    os.ftruncate(_LOG, 0)
    os.lseek(_LOG, 0, os.SEEK_SET)
    try:
        pixels = np.ascontiguousarray(decode(data, request))
    except DecodingError as error:
        return str(error)
    except (MemoryError, tf.errors.ResourceExhaustedError):
        return f"the {name} does not fit into the ingest decoder's memory"
    except tf.errors.OpError as error:
        return f"the {name} cannot be decoded: {_find_complaint(name) or _shorten(error.message)}"
    if complaint := _find_complaint(name):
        return f"the {name} cannot be decoded: {complaint}"
    if pixels.size > 3 * request["max_pixels"]:
        return f"the {name} has more pixels than its header says"
    return pixels


def _find_complaint(name: str) -> str | None:
    """Return what a library wrote about damaged data."""
    log = os.pread(_LOG, _MAX_LOG_READ, 0).decode(errors="replace")
    match = _COMPLAINTS[name].search(log)
    return _shorten(match[1]) if match else None


def _shorten(message: str) -> str:
    """Return the start of an error message, without its node's name."""
    message = re.sub(r"^\{\{.*?\}\} *| *\[Op:.*", "", message, flags=re.DOTALL)
    return " ".join(message.split())[:200]


def _set_limits(max_memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (max_memory, max_memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_LOG, _MAX_LOG))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # if memory runs out, the kernel kills this process, not the stage
        Path("/proc/self/oom_score_adj").write_text("1000")
