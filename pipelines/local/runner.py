"""The pipeline on this machine, in processes or containers, resuming what an earlier run finished."""

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
from typing import TextIO

from metrifier_core.config.run import ConfigError, RunConfig
from metrifier_core.execution.progress import LINE_PREFIX
from metrifier_core.ingest.client import ingest_command
from metrifier_core.settings.credentials import without_credentials
from metrifier_core.settings.environment import FAILURES_VARIABLE, PARTIAL_VARIABLE, RUN_ID_VARIABLE
from metrifier_core.sources import list_items, listing_digest
from metrifier_core.workers import MiniatureSpec, find_weights, open_worker
from pipelines.graph.images import Images
from pipelines.local.offline_queue import enable_queue, flush_queue
from pipelines.local.place import Place
from pipelines.local.results import publish, publish_families
from pipelines.local_paths import folders_to_mount
from pipelines.tracking_server import SERVER_FILE, tracking_server

_CACHE = ".kfp_cache"


class RunError(RuntimeError):
    """A pipeline that failed; the message names the stage and its reason.

    Attributes:
        resumable: Whether the next start resumes what this one did.
    """

    def __init__(self, message: str, *, resumable: bool = False) -> None:
        super().__init__(message)
        self.resumable = resumable


class _RunLog(io.TextIOBase):
    """Writes everything to a file, and the lines of stages to the terminal, too."""

    def __init__(self, log: TextIO, terminal: TextIO) -> None:
        self._log = log
        self._terminal = terminal
        self._started = time.monotonic()
        self._rest = ""

    def write(self, text: str) -> int:
        self._log.write(text)
        *lines, self._rest = (self._rest + text).split("\n")
        for line in map(str.strip, lines):
            if line.startswith(LINE_PREFIX):
                minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
                self._terminal.write(f"[{minutes:02d}:{seconds:02d}] {line.removeprefix(LINE_PREFIX)}\n")
                self._terminal.flush()
        return len(text)

    def flush(self) -> None:
        self._log.flush()


def check_inputs(config: RunConfig) -> str:
    """Check everything that the run will read, so that a long run does not fail late.

    Returns:
        A digest of what the source holds and of whether the ingest decoder is there, without which some images are
        rejected: results of other images are never reused.

    Raises:
        ConfigError: A source or a weights file is missing or has another checksum; the message names the key.
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
    return hashlib.sha256(f"{listing_digest(items)}{ingest_command() is not None}".encode()).hexdigest()


def _find_place(images: Images | None, config: RunConfig, listing: str, folder: Path) -> Place:
    if images is None:
        from pipelines.local.processes import Processes

        return Processes(listing)
    from pipelines.local.containers import ContainerError, Containers

    try:
        # The folder of all runs is readable, since a run may reuse what others finished.
        return Containers.find(images, (*folders_to_mount(config), folder.parent), listing, folder)
    except ContainerError as error:
        raise RunError(f"nothing was run: {error}") from error


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Keep a second run out of the folder; the lock of a killed run is released by the system."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"another run is going on in {folder}; wait for it, or set another name=...") from None
        yield


@contextlib.contextmanager
def _stopped_by_signals(place: Place) -> Iterator[None]:
    """Kill the tasks on Ctrl-C and SIGTERM, since KFP waits for all tasks of a loop. Ignored signals stay ignored."""

    def stop(*_: object) -> None:
        logging.disable()  # the failures of tasks that are killed here are no news
        place.stop()
        raise KeyboardInterrupt

    handled = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    earlier = {number: signal.signal(number, stop) for number in handled}
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _check_reused(runs: Path, reuse: str | None) -> None:
    """Raise if there is no run of that name to reuse."""
    if reuse is not None and not (runs / reuse / "tasks" / _CACHE).is_dir():
        raise RunError(f"nothing was run: there is no run to reuse in {runs / reuse}")


def _copy_cache(source: Path, target: Path) -> None:
    """Add the cache entries of another run to this one's; they name artifacts where they are."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.glob("*.json"):
        if not (target / entry.name).exists():
            shutil.copyfile(entry, target / entry.name)


def run_locally(
    config: RunConfig,
    runs: Path,
    *,
    fresh: bool = False,
    reuse: str | None = None,
    images: Images | None = None,
    terminal: TextIO = sys.stdout,
) -> Path:
    """Run the pipeline, resuming what an earlier run of the same name finished.

    Args:
        config: What to run.
        runs: The folder of all runs.
        fresh: Whether to discard what an earlier run finished.
        reuse: Name of another run in `runs`, whose results are reused for stages with the same inputs; they stay where
            they are.
        images: The images that the stages run in, by Docker or what serves its API; None for child processes.
        terminal: Where to write the stages' progress.

    Returns:
        The run's folder.

    Raises:
        ConfigError: An input is missing or has another checksum; nothing was run.
        RunError: A stage failed, there is no run to reuse, another run is going on in the folder, or no container
            engine answers.
    """
    _check_reused(runs, reuse)
    listing = check_inputs(config)
    from kfp import local

    from metrifier_core.tracking import PipelineRun, fail_run, open_run
    from pipelines.graph.metrifier_pipeline import build_graph
    from pipelines.graph.site import Site

    folder = (runs / config.name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    tasks, partial, unlogged, reasons = (folder / name for name in ("tasks", "partial", "unlogged", "failures"))
    run = PipelineRun(config.name, config.tracking.experiment)
    with _lock(folder), (folder / "log.txt").open("a", buffering=1, encoding="utf-8") as log:
        for stale in (tasks, partial, unlogged, reasons) if fresh else (reasons,):
            shutil.rmtree(stale, ignore_errors=True)
        if reuse is not None:
            _copy_cache(runs / reuse / "tasks" / _CACHE, tasks / _CACHE)
        place = _find_place(images, config, listing, folder)
        arguments = config.pipeline_arguments()
        # A fingerprint of what stages are given: a run with another one has something to do.
        settings = json.dumps(arguments, sort_keys=True)
        identity = hashlib.sha256(f"{place.code}{listing}{settings}".encode()).hexdigest()[:12]
        server = tracking_server(config.tracking) or f"sqlite:///{folder / 'mlflow.db'}"
        (folder / SERVER_FILE).write_text(without_credentials(server) + "\n", encoding="utf-8")
        os.environ["MLFLOW_TRACKING_URI"] = server
        os.environ[PARTIAL_VARIABLE] = str(partial / place.code)
        os.environ[FAILURES_VARIABLE] = str(reasons)
        os.environ[RUN_ID_VARIABLE] = f"{config.name}-{identity}"
        enable_queue(unlogged)
        runner = local.SubprocessRunner(use_venv=False) if images is None else local.DockerRunner()
        local.init(runner, pipeline_root=str(tasks), enable_caching=True, cache_root=str(tasks / _CACHE))
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # silence how it makes its database
        if "tracking" in arguments:  # of registration alone, which is repeated on another server
            arguments["tracking"] = {**arguments["tracking"], "uri": without_credentials(server)}
        try:
            with (
                contextlib.redirect_stdout(_RunLog(log, terminal)),
                place.used(),
                _stopped_by_signals(place),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")  # KFP's, of settings that have no effect here
                flush_queue(unlogged, server)
                open_run(run)
                outputs = build_graph(config, Site(place.names))(**arguments).outputs
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, KeyboardInterrupt):
                reason = "stopped"
            else:
                reason = "; ".join(place.failures(reasons)) or str(error) or type(error).__name__
            fail_run(run, reason)
            raise RunError(f"{reason}\nThe whole log: {folder / 'log.txt'}", resumable=True) from error
        show = publish_families if config.held_out_families else publish
        show(outputs, folder)
        if unlogged.is_dir():
            # The server may be back. What is logged now may include the registration, which changes the results.
            flush_queue(unlogged, server, quiet=True)
            show(outputs, folder)
        shutil.rmtree(partial, ignore_errors=True)
    return folder
