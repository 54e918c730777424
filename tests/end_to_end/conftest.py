"""A finished run for all tests that only look at one."""

from pathlib import Path

import pytest

from tests.helpers.colour_runs import write_colour_run
from tests.helpers.runs import run


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One run from beginning to end: its folder and what it printed."""
    runs = tmp_path_factory.mktemp("undisturbed")
    finished = run(runs)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return runs / "quick", finished.stdout


@pytest.fixture(scope="session")
def colour_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a run whose workers need no training; for tests of how a run goes, whatever is in it."""
    return write_colour_run(tmp_path_factory.mktemp("colours"))
