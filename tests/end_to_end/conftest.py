"""Finished runs for all tests that look at one or compare with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.colour_runs import write_colour_run
from tests.helpers.runs import lasting_files, run
from tests.helpers.tracked_runs import TrackedRun, run_through
from tests.helpers.tracking_servers import door_of, tracking_server


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One run from beginning to end: its folder and what it printed."""
    runs = tmp_path_factory.mktemp("undisturbed")
    finished = run(runs)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return runs / "quick", finished.stdout


@pytest.fixture(scope="session")
def colour_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide the config of a run whose workers need no training; for tests of how a run goes, whatever is in it."""
    return write_colour_run(tmp_path_factory.mktemp("colours"), photos=160)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Provide the address of a tracking server."""
    with tracking_server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="session")
def unlogged(colour_config: Path, server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackedRun]:
    """One undisturbed run of colours that never reached its tracking server."""
    runs = tmp_path_factory.mktemp("unlogged")
    with door_of(server) as door:
        door.left = 0
        status, said = run_through(colour_config, runs, door, "colours")
        yield TrackedRun(runs / "colours", door, status, said, lasting_files(runs / "colours"))
