"""Runs tasks in child processes, which end with the run, however it ends."""

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

_SOURCE_FOLDERS = ("metrifier_core", "components", "pipelines")

# Standard input ends when the run lets go of its other end, or is killed: then so do the task and all that it started.
_WITH_THE_RUN = """
exec 3<&0 </dev/null
(read -r said <&3; kill -KILL 0) >/dev/null 2>&1 &
"$@" 3<&-
status=$?
{ kill $!; wait $!; } 2>/dev/null
exit $status
"""


class Processes:
    """The child processes of one run.

    Attributes:
        names: The stages' images as KFP knows them: the code, and what the run reads, is in the tag.
        code: Identifies the code.
    """

    def __init__(self, listing: str) -> None:
        """Prepares; nothing is started yet.

        Args:
            listing: What the run reads, in short.
        """
        self.code = _code_digest()
        name = f"metrifier-python:{metrifier_core.__version__}-{self.code}-{listing[:16]}"
        self.names = Images(name, name, name)
        theirs, own = os.pipe()
        self._theirs, self._own = os.fdopen(theirs, "rb"), os.fdopen(own, "wb")

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Has KFP's runner start its processes this way; its own go on after a run that was killed."""
        kfps_own = subprocess_task_handler.run_local_subprocess
        subprocess_task_handler.run_local_subprocess = self._run
        try:
            yield
        finally:
            subprocess_task_handler.run_local_subprocess = kfps_own
            self.stop()
            self._theirs.close()

    def stop(self) -> None:
        """Ends the tasks that run, and every one that is started from now on."""
        self._own.close()

    def _run(self, full_command: list[str], env_vars: Mapping[str, str] | None = None) -> int:
        """Runs a task to its end."""
        with subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _WITH_THE_RUN, "sh", *full_command],
            stdin=self._theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, **(env_vars or {})},
            process_group=0,
        ) as task:
            for line in task.stdout or ():
                sys.stdout.write(line)
            return task.wait()


def _code_digest() -> str:
    """Identifies the code, so that what other code made is never taken for this one's."""
    digest = hashlib.sha256()
    root = Path(metrifier_core.__file__).parents[1]
    for folder in _SOURCE_FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
