"""A finished run for all tests that only look at one."""

from pathlib import Path

import pytest

from tests.helpers.runs import run


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One run from beginning to end: its folder and what it printed."""
    runs = tmp_path_factory.mktemp("undisturbed")
    finished = run(runs)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return runs / "quick", finished.stdout
