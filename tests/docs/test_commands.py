"""Every command on our pages: run on small models where that is possible, else read by what would run it.

A command that no row of `CHECKS` knows fails the test of that command; so does a row that no command needs.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sybil import Example
from typer.main import get_command
from typer.testing import CliRunner

from metrifier_core.cli import app
from metrifier_core.config.run import load_config
from metrifier_core.execution.checksums import path_sha256
from metrifier_core.images import encode_png
from tests.helpers.colour_workers import (
    COLOURS,
    draw_colours,
    make_entry,
    plain_image,
    write_colour_classifier,
    write_manifest,
)
from tests.helpers.documents import CHECKOUT, PAGES, read_blocks
from tests.helpers.example_images import natural_image
from tests.helpers.run_products import registered_runs, write_judged_run
from tests.helpers.tiny_models import write_brightness_metrifier

# Their blocks are run whole, by tests of their own.
ELSEWHERE = {
    "docs/tutorial.md": "",
    "docs/serving.md": "curl ",
}  # tests/end_to_end/test_tutorial.py, tests/core/scoring/test_mlflow_model.py
REAL_DATA = CHECKOUT.parent / "shared" / "realdata"


@dataclass(frozen=True)
class Command:
    """One command as its page has it, its lines joined and without its comment."""

    place: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)


def commands() -> Iterator[Command]:
    for page in PAGES:
        for block in read_blocks(page, "sh"):
            if page not in ELSEWHERE or ELSEWHERE[page] not in block.parsed:
                yield from commands_of(block)


def commands_of(block: Example) -> Iterator[Command]:
    """Return the commands of a block; variables that it sets first are expanded."""
    page = Path(block.path).relative_to(CHECKOUT)
    number = block.line + block.parsed.line_offset
    given: dict[str, str] = {}
    for line in block.parsed.replace("\\\n", "\0").split("\n"):
        number += 1 + line.count("\0")
        whole = re.sub(r"\s+# .*", "", line.replace("\0", " ")).strip()
        for text in filter(None, whole.split("; ")):
            variable = re.fullmatch(r'([A-Z]+)="(.*)"', text)
            if variable:
                given[variable[1]] = variable[2]
            else:
                yield Command(f"{page}:{number}", re.sub(r"^\$([A-Z]+)\b", lambda match: given[match[1]], text))


def run_metrifier(command: Command) -> None:
    """Run it where everything is that pages name; check that it wrote what it should."""
    # ResNet50 would be downloaded.
    words = shlex.split(command.text.replace("--worker resnet50", "--workers workers.yaml --worker mine"))[1:]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    for option in ("--output", "--gallery", "--explain"):
        if option in words:
            written = Path(words[words.index(option) + 1])
            assert any(written.iterdir()) if written.is_dir() else written.stat().st_size > 0


def run_in_a_shell(command: Command) -> None:
    """Run a pipe, whose last program prints what it found."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    text = command.text.replace(" /data ", " data ")
    done = subprocess.run(
        ["bash", "-c", text], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["path"] == "data/broken.jpg"


def sum_a_folder(command: Command) -> None:
    done = subprocess.run(["bash", "-c", command.text], cwd="photos", capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == path_sha256(Path("photos"))


def parse(program: Any, words: list[str]) -> dict[str, Any]:
    """Parse the arguments of a command of click or typer; return those of the last subcommand."""
    context = program.make_context(program.name, list(words))
    while hasattr(program, "resolve_command"):
        _, program, rest = program.resolve_command(context, [*context._protected_args, *context.args])
        context = program.make_context(program.name, list(rest), parent=context)
    found: dict[str, Any] = context.params
    return found


def check_config(path: str, overrides: list[str]) -> None:
    """Load a config, where the real images and workers that it names lie beside the checkout."""
    if path.startswith("tests/realdata") and not REAL_DATA.is_dir():
        return
    load_config(CHECKOUT / path if (CHECKOUT / path).is_file() else Path(path), overrides)


def check_calibration(command: Command) -> None:
    """Check the paths of a command that works for half an hour."""
    given = parse(get_command(app), command.words[1:])
    check_config(str(given["config"]), given["overrides"] or [])
    assert (CHECKOUT / given["output"]).is_file()


def check_import(command: Command) -> None:
    """Check the output alone: what it converts is 240 MB; tests/core/cli/test_workers.py converts others."""
    given = parse(get_command(app), command.words[1:])
    assert given["output"].name.endswith(".weights.h5")


def check_local(command: Command) -> None:
    from pipelines.local import __main__ as local

    given = parse(get_command(local.app), command.words[3:])
    check_config(str(given["config"]), given["overrides"] or [])


def check_submit(command: Command) -> None:
    from pipelines import submit

    given = parse(get_command(submit.app), command.words[3:])
    load_config(CHECKOUT / "configs" / "digits.yaml", given["overrides"])


def check_kfp(command: Command) -> None:
    from kfp.cli.run import run

    words = command.words[1:]
    assert words[0] == "--endpoint"
    assert words[2] == "run"
    assert parse(run, words[3:])["args"] == ("seed=1",)


def check_make(command: Command) -> None:
    """Make says what it would do, and the programs of ours among it can be told so."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    words = ["make", "-n", *command.words[1:]]
    done = subprocess.run(words, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "needs docker, podman or buildah" in done.stderr, done.stderr
    for line in done.stdout.splitlines():
        if "-m pipelines.compile" in line:
            from pipelines import compile as compiler

            given = parse(get_command(compiler.app), shlex.split(line)[3:])
            check_config(str(given["config"]), [])
        elif "benchmarks/latency.py" in line:
            check_benchmark(Command(command.place, line))


def check_benchmark(command: Command) -> None:
    """Start a benchmark, and stop it once it has read its arguments."""
    words = command.words
    place = next(index for index, word in enumerate(words) if word.startswith("benchmarks/"))
    given = parsed_by(CHECKOUT / words[place], words[place + 1 :])
    for name in ("catalogue", "manifest", "root"):
        path = given.get(name)
        made_before = path is not None and path.parts[0] == "build"
        if path is not None and not made_before and (REAL_DATA.is_dir() or "realdata" not in path.parts):
            assert (CHECKOUT / path).exists()
    if "overrides" in given:
        check_config(str(given["config"]), given["overrides"])


class ArgumentsReadError(Exception):
    """Ends a program that has read its arguments."""


def parsed_by(script: Path, words: list[str]) -> dict[str, Any]:
    """Return what a program of argparse makes of its arguments."""
    found: dict[str, Any] = {}

    def stopping(read: Callable[..., argparse.Namespace]) -> Callable[..., argparse.Namespace]:
        def parse_args(parser: argparse.ArgumentParser) -> argparse.Namespace:
            found.update(vars(read(parser, words)))
            raise ArgumentsReadError

        return parse_args

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(script.parent)  # where a script finds those beside it
        program = import_module(f"benchmarks.{script.stem}")
        for name in ("parse_args", "parse_intermixed_args"):
            patch.setattr(argparse.ArgumentParser, name, stopping(getattr(argparse.ArgumentParser, name)))
        with pytest.raises(ArgumentsReadError):
            program.main()
    return found


def check_mlflow_serve(command: Command) -> None:
    """tests/core/scoring/test_mlflow_model.py starts it, on a port that is free."""
    from mlflow.models.cli import commands as models

    given = parse(models, command.words[2:])
    assert (given["model_uri"], given["env_manager"]) == ("models:/metrifier@champion", "local")


def run_mlflow_download(command: Command) -> None:
    from click.testing import CliRunner as ClickRunner
    from mlflow.store.artifact.cli import commands as artifacts

    result = ClickRunner().invoke(artifacts, command.words[2:], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert (Path(command.words[-1]) / "MLmodel").is_file()


def check_mlflow_run(command: Command) -> None:
    """Check that the project has the entry point and its parameters, and that what it starts takes them."""
    from mlflow.cli import cli
    from mlflow.projects.utils import load_project

    given = parse(cli, command.words[1:])
    project = load_project(str(CHECKOUT / given["uri"]))
    values = dict(each.split("=", 1) for each in given["param_list"])
    entry = project.get_entry_point(given["entry_point"])
    assert values.keys() <= entry.parameters.keys()
    started = shlex.split(entry.compute_command(values, None))
    if "pipelines.local" in started:
        words = started[started.index("pipelines.local") + 1 :]
        words[0] = (CHECKOUT / "mlflow" / words[0]).resolve().relative_to(CHECKOUT).as_posix()
        check_local(Command(command.place, shlex.join(["python", "-m", "pipelines.local", *words])))
    else:
        parse(get_command(app), started[1:])


def check_docker(command: Command) -> None:
    """Check that `make images` builds the image and that it knows its variables."""
    dockerfile = (CHECKOUT / "Dockerfile").read_text()
    (target,) = re.findall(r"/metrifier-(\w+):", command.words[-1])
    assert re.search(rf"(?i)^FROM .* AS {target}$", dockerfile, re.MULTILINE)
    ours = {word.partition("=")[0] for word in command.words if "=" in word} - {"MLFLOW_TRACKING_URI"}
    assert all(f"{name}=" in dockerfile for name in ours)


def check_kubectl(command: Command) -> None:
    """Check that it names what lies in mlflow/kubernetes."""
    words = command.words
    folder = CHECKOUT / "mlflow" / "kubernetes"
    if "apply" in words:
        assert CHECKOUT / words[words.index("-k") + 1] == folder
    elif "port-forward" in words:
        documents = [found for path in folder.glob("*.yaml") for found in yaml.safe_load_all(path.read_text())]
        ports = {
            f"{each['kind'].lower()}/{each['metadata']['name']}": [str(port["port"]) for port in each["spec"]["ports"]]
            for each in documents
            if each.get("kind") == "Service"
        }
        assert words[-1].rpartition(":")[2] in ports[words[-2]]
    else:
        assert "create secret generic" in command.text


def check_copy(command: Command) -> None:
    _, source, target = command.words
    assert (CHECKOUT / source).is_file()
    assert f"/{target}" in (CHECKOUT / ".gitignore").read_text().splitlines()


def check_setting(command: Command) -> None:
    """Check that it is the environment of `make install`, or where the server of `make run` is."""
    assert command.text in {". .venv/bin/activate", "export MLFLOW_TRACKING_URI=sqlite:///runs/digits/mlflow.db"}


METRIFIER, PYTHON = r"(\.venv/bin/)?metrifier", r"(\.venv/bin/)?python"

# What a command begins with, and how it is checked; the first row that fits counts.
CHECKS: dict[str, Callable[[Command], None]] = {
    rf"{METRIFIER} distort calibrate ": check_calibration,
    rf"{METRIFIER} workers import-alexnet ": check_import,
    rf"{METRIFIER} (score|threshold|compare|distort|workers (list|verify)) ": run_metrifier,
    r"find .*\| metrifier score ": run_in_a_shell,
    r"find .*\| sha256sum": sum_a_folder,
    rf"{PYTHON} -m pipelines\.local ": check_local,
    rf"{PYTHON} -m pipelines\.submit ": check_submit,
    rf"{PYTHON} benchmarks/": check_benchmark,
    r"make ": check_make,
    r"(\.venv/bin/)?kfp ": check_kfp,
    r"mlflow models serve ": check_mlflow_serve,
    r"mlflow artifacts download ": run_mlflow_download,
    r"mlflow run ": check_mlflow_run,
    r"docker run ": check_docker,
    r"kubectl ": check_kubectl,
    r"cp ": check_copy,
    r"\. |export ": check_setting,
}
COMMANDS = list(commands())


def row_of(command: Command) -> str | None:
    return next((pattern for pattern in CHECKS if re.match(pattern, command.text)), None)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Provide all that pages name, small: photographs, models, workers, labelled images, runs and a registry."""
    folder = tmp_path_factory.mktemp("workplace")
    photo = encode_png(natural_image(1))
    for name in ("photo.jpg", "photos/a.jpg", "photos/b.jpg", "data/a.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(photo)
    (folder / "data" / "broken.jpg").write_text("no image")
    large, _ = (write_judged_run(folder / "runs" / name, lambda quality: quality) for name in ("large", "small"))
    for model in ("MODEL", "runs/digits/model"):
        write_brightness_metrifier(folder / model)

    classifier = write_colour_classifier(folder / "colour.onnx")
    names = {"mine": "A", "classifier_a": "A", "classifier_b": "B", "classifier_c": "C"}
    entries = {name: make_entry(classifier, family=family) for name, family in names.items()}
    (folder / "workers.yaml").write_text(json.dumps(entries))
    manifest = write_manifest(folder, *draw_colours(40))
    shutil.copyfile(manifest, folder / "labelled.csv")
    (config,) = (block.parsed for block in read_blocks("README.md", "yaml") if "name: mine" in block.parsed)
    (folder / "mine.yaml").write_text(config.replace("/data/photos", "classes"))
    for label, colour in enumerate(COLOURS[:2].astype(np.uint8)):
        path = folder / "classes" / str(label) / "a.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(encode_png(plain_image(colour)))
    (folder / "build").mkdir()
    (folder / "build" / "metrifier.yaml").write_text("")
    with registered_runs(folder / "registry", {"large": large}):
        yield folder


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.place)
def test_a_documented_command_works(command: Command, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = row_of(command)
    assert row is not None, f"{command.place}: no row of CHECKS knows `{command.text}`"
    monkeypatch.chdir(workplace)
    CHECKS[row](command)


def test_every_check_is_of_a_documented_command() -> None:
    assert {row_of(command) for command in COMMANDS} - {None} == set(CHECKS)
