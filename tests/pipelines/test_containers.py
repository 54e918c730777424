"""Running in containers, as far as it can be tested without an engine; `tests/containers` has the rest."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from typer.testing import CliRunner

from pipelines.graph.images import Images
from pipelines.local import container_log
from pipelines.local.__main__ import app
from pipelines.local.container_log import ContainerLog, read_lines
from pipelines.local.containers import Containers
from pipelines.local.place import stage_of
from tests.helpers.runs import run
from tests.pipelines.test_compile import CONFIG


def test_without_an_engine_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    result = run(tmp_path, "--image", "metrifier-{target}:1")
    assert result.returncode == 1
    assert "nothing was run: no container engine answers: start Docker, or serve podman's socket" in result.stderr


def test_an_unknown_target_is_refused(tmp_path):
    result = CliRunner().invoke(app, [str(CONFIG), "--runs", str(tmp_path), "--image", "trian=metrifier-train:1"])
    assert result.exit_code == 2
    assert "unknown image 'trian', did you mean 'train'?" in result.output


@pytest.mark.parametrize("size", [1, 3, 100])
def test_lines_are_whole_however_they_arrive(size):
    text = "metrifier: na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve\n\nlast".encode()
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert list(read_lines(pieces)) == text.split(b"\n")


class Talker:
    """A container whose log, when it is followed, breaks off after so many bytes, or never ends."""

    SAID = b"metrifier: begun\nmetrifier: distort: failed: no room\nlast"

    def __init__(self, followed, *, ends):
        self.followed = followed
        self.over = threading.Event()
        self.ends = ends

    def logs(self, *, stream=False, follow=False):
        return self.pieces() if stream and follow else self.SAID

    def pieces(self):
        yield self.SAID[: self.followed]
        if self.ends == "never":
            self.over.wait(30)
        elif self.ends == "broken":
            raise TimeoutError("silent for long")
        yield self.SAID[self.followed :]


@pytest.mark.parametrize("ends", ["well", "broken", "never"])
@pytest.mark.parametrize("followed", [0, 20, 60, len(Talker.SAID)])
def test_a_log_is_passed_on_once_and_whole_however_following_it_ends(monkeypatch, capsys, followed, ends):
    monkeypatch.setattr(container_log, "_FOLLOW_SECONDS", 0.05 if ends == "never" else 10)
    talker = Talker(followed, ends=ends)
    log = ContainerLog(talker)
    log.end()
    talker.over.set()
    assert capsys.readouterr().out == f"{Talker.SAID.decode()}\n"


class Engine:
    """Runs one container, which goes on until it is removed."""

    def __init__(self):
        self.containers = self
        self.started, self.removed = threading.Event(), threading.Event()

    def run(self, *_, **__):
        self.started.set()
        return self

    def list(self, **_):
        return [self] if self.started.is_set() and not self.removed.is_set() else []

    def wait(self):
        assert self.removed.wait(30)
        return {"StatusCode": 137}

    def logs(self, **_):
        return b""

    def remove(self, **_):
        self.removed.set()

    def close(self):
        pass


def test_containers_end_with_a_run_that_is_stopped_and_no_other_begins(tmp_path):
    engine = Engine()
    place = Containers(engine, Images("own", "own", "own"), {"own": "metrifier:1"}, tmp_path, ())
    with place.used(), ThreadPoolExecutor() as branches:
        running = branches.submit(place._run, engine, "own", ["sh"], {})
        assert engine.started.wait(30)
        place.stop()
        assert running.result(30) == 137
        engine.started.clear()
        assert place._run(engine, "own", ["sh"], {}) == 137
        assert not engine.started.is_set()


def test_a_stage_is_known_by_what_its_container_executes():
    assert stage_of(["sh", "-c", "...", "--executor_input", "{}", "--function_to_execute", "distort"]) == "distort"
    assert stage_of(["sh"]) == "a stage"


def test_a_stage_that_fails_is_named_with_its_own_reason_or_else_with_its_status(tmp_path):
    place = Containers(Engine(), Images("own", "own", "own"), {"own": "metrifier:1"}, tmp_path, ())
    assert place.end_task(["--function_to_execute", "download"], 0) == 0
    assert place.failures(tmp_path) == []
    for stage, status in (("distort", 1), ("merge_dataset", 3), ("train_metrifier", 137)):
        assert place.end_task(["--function_to_execute", stage], status) == status
    (tmp_path / "distort").write_text("no room\nno room\nno disk\n")
    assert place.failures(tmp_path) == [
        "distort: failed: no room",
        "distort: failed: no disk",
        "merge_dataset: failed: its container ended with status 3",
        "train_metrifier: failed: its container ended with status 137 (killed, perhaps out of memory)",
    ]
