"""Tasks in child processes, which end with the run, however it ends."""

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from kfp.local import subprocess_task_handler

import metrifier_core
from pipelines.graph.images import Images
from pipelines.local.place import Place, replaced

_SOURCE_FOLDERS = ("metrifier_core", "components", "pipelines")

# Standard input is a pipe that closes when the run ends, even if it is killed: then kill the task's process group.
_END_WITH_THE_RUN = """
exec 3<&0 </dev/null
(read -r line <&3; kill -KILL 0) >/dev/null 2>&1 &
"$@" 3<&-
status=$?
{ kill $!; wait $!; } 2>/dev/null
exit $status
"""


class Processes(Place):
    """The child processes of one run."""

    kind = "process"

    def __init__(self, listing: str) -> None:
        """Prepare without starting anything.

        Args:
            listing: Digest of what the run reads.
        """
        code = _code_digest()
        name = f"metrifier-python:{metrifier_core.__version__}-{code}-{listing[:16]}"
        super().__init__(Images(name, name, name), code)
        reader, writer = os.pipe()
        self._reader, self._writer = os.fdopen(reader, "rb"), os.fdopen(writer, "wb")

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Make KFP start its processes this way; its own would outlive a run that is killed."""
        try:
            with replaced(subprocess_task_handler, "run_local_subprocess", self._run):
                yield
        finally:
            self.stop()
            self._reader.close()

    def stop(self) -> None:
        """Kill the running tasks, and every one that is started from now on."""
        self._writer.close()

    def _run(self, full_command: list[str], env_vars: Mapping[str, str] | None = None) -> int:
        with subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _END_WITH_THE_RUN, "sh", *full_command],
            stdin=self._reader,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, **(env_vars or {})},
            process_group=0,
        ) as task:
            for line in task.stdout or ():
                sys.stdout.write(line)
            return self.end_task(full_command, task.wait())


def _code_digest() -> str:
    """Return a digest of the source code, so that results of other code are never reused."""
    digest = hashlib.sha256()
    root = Path(metrifier_core.__file__).parents[1]
    for folder in _SOURCE_FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
