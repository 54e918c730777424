"""The command line as a whole."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from metrifier_core import __version__
from metrifier_core.cli import app, main
from metrifier_core.cli.options import Command


def test_version_is_the_packages() -> None:
    command = [sys.executable, "-m", "metrifier_core.cli", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"metrifier {__version__}\n"


def test_help_need_not_wait_for_heavy_libraries() -> None:
    heavy = ("cv2", "mlflow", "numpy", "onnxruntime", "pyarrow", "pydantic", "tensorflow")
    code = f"import sys, metrifier_core.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_no_bar_of_mlflow_goes_into_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["metrifier_core.cli.app"], "app", lambda: None)
    monkeypatch.setattr("os.environ", dict(os.environ))
    main()
    assert os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] == "false"


def commands(group: Any) -> Iterator[Any]:
    """Yield all commands below a group."""
    for command in group.commands.values():
        if hasattr(command, "commands"):
            yield from commands(command)
        else:
            yield command


def test_help_fills_the_lines_of_a_narrow_terminal() -> None:
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["score", "--help"]).stdout
    lines = [line.strip() for line in shown.splitlines()]
    assert "rejected. The others are scored, and the exit status is 1, as it is if a" in lines
    assert "metrifier score photo.jpg --model runs/digits/model" in lines
    assert all(isinstance(command, Command) for command in commands(get_command(app)))
