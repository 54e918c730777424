"""Running in containers, as far as it can be seen where nothing runs any; `tests/containers` has the rest."""

import pytest
from typer.testing import CliRunner

from pipelines.containers import read_lines, stage_of
from pipelines.local import app
from tests.end_to_end.runs import run
from tests.pipelines.test_compile import CONFIG


def test_without_an_engine_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    result = run(tmp_path, "--image", "metrifier-{target}:1")
    assert result.returncode == 1
    assert "nothing was run: nothing runs containers here: start Docker, or serve podman's socket" in result.stderr


def test_an_unknown_target_is_refused(tmp_path):
    result = CliRunner().invoke(app, [str(CONFIG), "--runs", str(tmp_path), "--image", "trian=metrifier-train:1"])
    assert result.exit_code == 2
    assert "unknown image 'trian', did you mean 'train'?" in result.output


@pytest.mark.parametrize("size", [1, 3, 100])
def test_lines_are_whole_however_they_arrive(size):
    text = "metrifier: na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve\n\nlast".encode()
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert list(read_lines(pieces)) == text.split(b"\n")


def test_a_stage_is_known_by_what_its_container_executes():
    assert stage_of(["sh", "-c", "...", "--executor_input", "{}", "--function_to_execute", "distort"]) == "distort"
    assert stage_of(["sh"]) == "a stage"
