"""Workflows and hooks run nothing but targets of the Makefile, so that whatever fails there fails on a laptop too."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrifier_core import __version__

CHECKOUT = Path(__file__).parents[2]
WORKFLOWS = sorted((CHECKOUT / ".github" / "workflows").glob("*.yml"))


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


def check(command: str) -> None:
    """Raise if a command is anything but `make TARGET... NAME=value...` of targets that exist."""
    words = command.split()
    assert words[0] == "make", command
    named = {word for word in words[1:] if not re.fullmatch(r"\w+=\w+", word)}
    assert named, command
    assert named <= targets(), command


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_of_a_workflow_is_a_target_of_the_makefile(path: Path) -> None:
    commands = [line for step in steps(path) if "run" in step for line in step["run"].strip().splitlines()]
    assert commands
    for command in commands:
        check(command)


@pytest.mark.parametrize("command", ["pip install x", "make nothing-of-the-kind", "make lint; rm -rf /", "make"])
def test_another_command_fails_the_check(command: str) -> None:
    with pytest.raises(AssertionError):
        check(command)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_has_a_version_and_every_job_little_permission_and_a_timeout(path: Path) -> None:
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]) for step in steps(path) if "uses" in step)
    assert read(path)["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 90 for job in read(path)["jobs"].values())


def test_the_tests_run_on_every_python_that_the_package_names() -> None:
    python = read(CHECKOUT / ".github" / "workflows" / "checks.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    classifiers = re.findall(r"Python :: (\d\.\d+)", (CHECKOUT / "setup.cfg").read_text())
    assert python == classifiers


def test_hooks_run_targets_of_the_makefile() -> None:
    hooks = [hook for source in read(CHECKOUT / ".pre-commit-config.yaml")["repos"] for hook in source["hooks"]]
    assert {hook["id"] for hook in hooks} == {"lint", "types"}
    for hook in hooks:
        check(hook["entry"])


def test_a_release_is_refused_whose_tag_is_not_its_version() -> None:
    for tag, status in ((f"v{__version__}", 0), ("v99.0.0", 2), (__version__, 2)):
        done = subprocess.run(["make", "check-tag", f"TAG={tag}"], cwd=CHECKOUT, capture_output=True, check=False)
        assert done.returncode == status


def test_the_citation_names_the_version() -> None:
    assert read(CHECKOUT / "CITATION.cff")["version"] == __version__
