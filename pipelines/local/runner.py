"""Runs the pipeline on this machine, in processes or containers, and takes up what an earlier run had finished."""

import contextlib
import fcntl
import hashlib
import io
import json
import logging
import os
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TextIO

from metrifier_core.config.run import ConfigError, RunConfig
from metrifier_core.execution.progress import FAILED, LINE_PREFIX
from metrifier_core.ingest.client import ingest_command
from metrifier_core.settings.credentials import without_credentials
from metrifier_core.settings.environment import PARTIAL_VARIABLE, RUN_ID_VARIABLE
from metrifier_core.sources import list_items, listing_digest
from metrifier_core.workers import MiniatureSpec, find_weights, open_worker
from pipelines.graph.images import Images
from pipelines.local.offline_queue import log_what_waits, postponing
from pipelines.local.results import publish, publish_families
from pipelines.local_paths import folders_to_mount
from pipelines.tracking_server import tracking_server
from pipelines.ui import SERVER_FILE

_CACHE = ".kfp_cache"


class RunError(RuntimeError):
    """A pipeline that did not get to its end; the message has the stage and its reason.

    Attributes:
        begun: Whether anything was done that a next start goes on from.
    """

    def __init__(self, message: str, *, begun: bool = False) -> None:
        super().__init__(message)
        self.begun = begun


class _StageLines(io.TextIOBase):
    """Keeps the whole log in a file and passes on the lines that stages say about themselves."""

    def __init__(self, log: TextIO, terminal: TextIO) -> None:
        self._log = log
        self._terminal = terminal
        self._started = time.monotonic()
        self._rest = ""
        self.failures: list[str] = []

    def write(self, text: str) -> int:
        self._log.write(text)
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            said = line.strip()
            if said.startswith(LINE_PREFIX):
                said = said.removeprefix(LINE_PREFIX)
                if FAILED in said:
                    self.failures.append(said)
                minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
                self._terminal.write(f"[{minutes:02d}:{seconds:02d}] {said}\n")
                self._terminal.flush()
        return len(text)

    def flush(self) -> None:
        self._log.flush()


def check_inputs(config: RunConfig) -> str:
    """Looks at everything that the run will read, so that a long one does not fail late.

    Returns:
        A digest of what the source holds and of who can decode it, so that other images are never taken for these.

    Raises:
        ConfigError: A source or a weights file is missing or is another one; the message names the key.
    """
    try:
        items = list_items(config.source)
        for name, spec in config.workers.catalogue.items():
            if not isinstance(spec, MiniatureSpec):
                open_worker(spec, find_weights(name, spec))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if not items:
        raise ConfigError("source: there are no images")
    # Images that want the ingest decoder are rejected where there is none.
    return hashlib.sha256(f"{listing_digest(items)}{ingest_command() is not None}".encode()).hexdigest()


class _Place(Protocol):
    """Where tasks run.

    Attributes:
        names: The stages' images. KFP tells tasks apart by image and arguments: what else they depend on is in the tag.
        code: Identifies the code that runs there.
    """

    @property
    def names(self) -> Images: ...

    @property
    def code(self) -> str: ...

    def used(self) -> contextlib.AbstractContextManager[None]:
        """Has KFP run tasks there."""

    def stop(self) -> None:
        """Ends the tasks that run, and every one that is started from now on."""


def _find_place(images: Images | None, config: RunConfig, listing: str, folder: Path) -> _Place:
    if images is None:
        from pipelines.local.processes import Processes

        return Processes(listing)
    from pipelines.local.containers import ContainerError, Containers

    try:
        # Beside the run's folder lie those of others, from which it may have taken something over.
        return Containers.find(images, (*folders_to_mount(config), folder.parent), listing, folder)
    except ContainerError as error:
        raise RunError(f"nothing was run: {error}") from error


@contextlib.contextmanager
def _only_run(folder: Path) -> Iterator[None]:
    """Keeps a second run out of the folder of one that is going on; a killed run lets go by itself."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"another run is going on in {folder}; wait for it, or set another name=...") from None
        yield


@contextlib.contextmanager
def _stopped_by_signals(place: _Place) -> Iterator[None]:
    """Has Ctrl-C and SIGTERM end the tasks first: KFP waits for all that stand in a loop. What is ignored stays so."""

    def stop(*_: object) -> None:
        logging.disable()  # that the tasks which are ended here have failed is no news
        place.stop()
        raise KeyboardInterrupt

    heeded = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    earlier = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _take_over(entries: Path, own: Path) -> None:
    """Adds what KFP knows of another run's tasks to what it knows of this one's: by their inputs, where they are.

    Raises:
        RunError: There is no such run.
    """
    if not entries.is_dir():
        raise RunError(f"nothing was run: there is no run to reuse in {entries.parents[1]}")
    own.mkdir(parents=True, exist_ok=True)
    for entry in entries.glob("*.json"):
        if not (own / entry.name).exists():
            shutil.copyfile(entry, own / entry.name)


def run_locally(
    config: RunConfig,
    runs: Path,
    *,
    fresh: bool = False,
    reuse: str | None = None,
    images: Images | None = None,
    terminal: TextIO = sys.stdout,
) -> Path:
    """Runs the pipeline, taking up what an earlier run of the same name had finished.

    Args:
        config: What to run.
        runs: The folder of all runs.
        fresh: Whether to forget what an earlier run had finished.
        reuse: Name of another run in the folder of runs; what it had finished is taken where nothing that a stage reads
            is another. It stays where it is.
        images: The images that the stages run in, by Docker or what speaks its API; None for child processes.
        terminal: Where the stages' progress is written.

    Returns:
        The run's folder.

    Raises:
        ConfigError: What the run would read is missing or is another; nothing was run.
        RunError: A stage failed, there is no run to reuse, another one is going on in the folder, or nothing runs
            containers here.
    """
    listing = check_inputs(config)
    from kfp import local

    from metrifier_core.tracking import PipelineRun, fail_run, open_run
    from pipelines.graph.build import build_graph
    from pipelines.graph.site import Site

    folder = (runs / config.name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    tasks = folder / "tasks"
    partial = folder / "partial"
    unlogged = folder / "unlogged"
    with _only_run(folder), (folder / "log.txt").open("a", encoding="utf-8") as log:
        if fresh:
            for stale in (tasks, partial, unlogged):
                shutil.rmtree(stale, ignore_errors=True)
        if reuse is not None:
            _take_over(runs / reuse / "tasks" / _CACHE, tasks / _CACHE)
        place = _find_place(images, config, listing, folder)
        # Of what stages are given: a run whose identity is new has something to do, and ends.
        settings = json.dumps(config.pipeline_arguments(), sort_keys=True)
        identity = hashlib.sha256(f"{place.code}{listing}{settings}".encode()).hexdigest()[:12]
        server = tracking_server(config.tracking) or f"sqlite:///{folder / 'mlflow.db'}"
        # For those who look for its runs here.
        (folder / SERVER_FILE).write_text(without_credentials(server) + "\n", encoding="utf-8")
        os.environ["MLFLOW_TRACKING_URI"] = server
        os.environ[PARTIAL_VARIABLE] = str(partial / place.code)
        os.environ[RUN_ID_VARIABLE] = f"{config.name}-{identity}"
        postponing(unlogged)
        runner = local.SubprocessRunner(use_venv=False) if images is None else local.DockerRunner()
        local.init(runner, pipeline_root=str(tasks), enable_caching=True, cache_root=str(tasks / _CACHE))
        # Which database it makes is MLflow's own affair.
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        lines = _StageLines(log, terminal)
        try:
            with (
                contextlib.redirect_stdout(lines),
                place.used(),
                _stopped_by_signals(place),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")  # KFP's own, of settings that mean nothing here
                log_what_waits(unlogged, server)
                open_run(PipelineRun(config.name, config.tracking.experiment))
                pipeline = build_graph(config, Site(place.names))
                arguments = config.pipeline_arguments()
                # Registration alone has the server among its arguments: it is repeated on another one.
                if "tracking" in arguments:
                    arguments["tracking"] = {**arguments["tracking"], "uri": without_credentials(server)}
                outputs = pipeline(**arguments).outputs
        except (Exception, KeyboardInterrupt) as error:
            stopped = isinstance(error, KeyboardInterrupt)
            reason = "stopped" if stopped else "; ".join(lines.failures) or str(error) or type(error).__name__
            fail_run(PipelineRun(config.name, config.tracking.experiment), reason)
            raise RunError(f"{reason}\nThe whole log: {folder / 'log.txt'}", begun=True) from error
        show = publish_families if config.held_out_families else publish
        show(outputs, folder)
        if unlogged.is_dir():
            # What the server missed may have been its last minute alone. It may have been the registration, too.
            log_what_waits(unlogged, server, told=True)
            show(outputs, folder)
        # Nothing is left to go on from.
        shutil.rmtree(partial, ignore_errors=True)
    return folder
