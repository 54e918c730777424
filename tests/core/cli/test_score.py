"""`metrifier score`: a row for every file, a status that scripts can trust, one sentence if it cannot start."""

import contextlib
import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from metrifier_core import Metrifier, Score
from metrifier_core.cli import app
from metrifier_core.execution.progress import progress
from metrifier_core.images import encode_png
from metrifier_core.scoring.score import decide
from metrifier_core.scoring.score_table import ScoreTable, TableFormat
from tests.helpers.bad_images import picture, write_awkward_images
from tests.helpers.tiny_models import write_brightness_metrifier


def run(*arguments: str | Path, names: bytes | None = None) -> Result:
    """Run `metrifier` with this standard input; an exception other than its exit fails the test."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=names, catch_exceptions=False)


def rows_of(table: str, *more: str) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(table))
    rows = list(reader)
    assert reader.fieldnames == ["path", "quality", *more, "error"]
    return rows


def write_grey(path: Path, level: int) -> Path:
    """Write an image to which the brightness metrifier gives the quality level / 255."""
    path.write_bytes(encode_png(np.full((16, 16, 3), level, np.uint8)))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_brightness_metrifier(tmp_path_factory.mktemp("run") / "model")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(encode_png(picture()))
    return path


def test_every_awkward_file_has_a_row(model: Path, tmp_path: Path) -> None:
    folder, table = tmp_path / "images", tmp_path / "scores.csv"
    folder.mkdir()
    expected = write_awkward_images(folder)
    result = run("score", folder, "--model", model, "--output", table)
    assert result.exit_code == 1
    assert result.stdout == ""
    bad = sum(word is not None for word in expected.values())
    assert f"{bad} of {len(expected)} files could not be scored" in result.stderr

    metrifier = Metrifier.load(model)
    rows = rows_of(table.read_text(encoding="utf-8"))
    assert [row["path"] for row in rows] == [str(folder / name) for name in sorted(expected)]
    for row in rows:
        word = expected[Path(row["path"]).name]
        if word is None:
            assert row["error"] == ""
            assert 0 <= float(row["quality"]) <= 1
            assert float(row["quality"]) == pytest.approx(metrifier(row["path"]), abs=1e-6)
        else:
            assert row["quality"] == ""
            assert word in row["error"]


def test_good_files_alone_exit_with_0(model: Path, photo: Path) -> None:
    result = run("score", photo, "--model", model)
    assert (result.exit_code, result.stderr) == (0, "")
    assert rows_of(result.stdout) == [{"path": str(photo), "quality": f"{Metrifier(model)(photo):.6f}", "error": ""}]


def test_a_dash_prints_what_a_file_would_hold(model: Path, photo: Path, tmp_path: Path) -> None:
    table = tmp_path / "scores.csv"
    printed = run("score", photo, "--model", model, "--output", "-")
    written = run("score", photo, "--model", model, "--output", table)
    assert (printed.exit_code, written.exit_code) == (0, 0)
    assert printed.stdout_bytes == table.read_bytes()


def test_a_missing_path_has_a_row_too(model: Path, photo: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.png"
    result = run("score", missing, photo, "--model", model)
    assert result.exit_code == 1
    lost, found = rows_of(result.stdout)
    assert lost == {"path": str(missing), "quality": "", "error": "cannot be read: No such file or directory"}
    assert found["quality"] != ""


def test_folders_are_walked_in_order_without_hidden_files(model: Path, photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    visible = ["a.png", "b/inner.png", "b/z/deepest.png", "c.png"]
    for name in [*visible, ".hidden.png", ".cache/thumbnail.png"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(photo.read_bytes())
    result = run("score", photo, folder, "--model", model)
    assert result.exit_code == 0
    assert [row["path"] for row in rows_of(result.stdout)] == [
        str(photo),
        *(str(folder / name) for name in visible),
    ]


def test_a_folder_that_cannot_be_listed_is_said(
    model: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "folder" / "locked"
    locked.mkdir(parents=True)
    (locked.parent / "a.png").write_bytes(photo.read_bytes())
    scan = os.scandir

    def refuse(path: str | Path) -> object:
        if Path(path) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    result = run("score", locked.parent, "--model", model)
    assert result.exit_code == 1
    assert [row["path"] for row in rows_of(result.stdout)] == [str(locked.parent / "a.png")]
    assert result.stderr == f"{locked} could not be listed: Permission denied\n"


def test_paths_are_written_as_they_were_given(
    model: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["./a.png", "more//b.png", f"{tmp_path}/../{tmp_path.name}/a.png"]
    for name in given[:2]:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(photo.read_bytes())
    assert [row["path"] for row in rows_of(run("score", *given, "--model", model).stdout)] == given


def test_an_empty_folder_is_said(model: Path, tmp_path: Path) -> None:
    result = run("score", tmp_path, "--model", model)
    assert result.exit_code == 1
    assert rows_of(result.stdout) == []
    assert result.stderr == "there are no files to score\n"


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not text exist on Linux alone")
def test_a_name_that_is_not_text_leaves_the_table_readable(model: Path, photo: Path, tmp_path: Path) -> None:
    folder, table = tmp_path / "folder", tmp_path / "scores.csv"
    folder.mkdir()
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(photo.read_bytes())
    (folder / "caf\N{LATIN SMALL LETTER E WITH ACUTE}, large.png").write_bytes(photo.read_bytes())
    for output in (table, "-"):
        result = run("score", folder, "--model", model, "--output", output)
        assert result.exit_code == 0
        rows = rows_of(result.stdout or table.read_text(encoding="utf-8"))
        assert {Path(row["path"]).name for row in rows} == {
            r"caf\xe9.png",
            "caf\N{LATIN SMALL LETTER E WITH ACUTE}, large.png",
        }
        assert all(row["error"] == "" for row in rows)


@pytest.mark.parametrize(
    ("output", "reason"), [("nowhere/scores.csv", "No such file or directory"), (".", "Is a directory")]
)
def test_an_unwritable_output_is_one_sentence(
    output: str, reason: str, model: Path, photo: Path, tmp_path: Path
) -> None:
    result = run("score", photo, "--model", model, "--output", tmp_path / output)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"--output {tmp_path / output}: {reason}\n"


def test_a_wrong_model_is_one_sentence(photo: Path, tmp_path: Path) -> None:
    table = tmp_path / "scores.csv"
    result = run("score", photo, "--model", tmp_path, "--output", table)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"--model {tmp_path}: {tmp_path} does not hold a metrifier")
    assert result.stderr.count("\n") == 1
    assert not table.exists()


def test_a_runtime_is_taken_by_its_name(model: Path, photo: Path) -> None:
    chosen, default = (run("score", photo, "--model", model, *more) for more in (("--runtime", "onnx"), ()))
    assert chosen.exit_code == 0
    assert chosen.stdout == default.stdout
    alone = run("score", photo, "--model", model / "metrifier.onnx")
    assert alone.stdout == default.stdout

    unknown = run("score", photo, "--model", model, "--runtime", "onxx")
    assert (unknown.exit_code, unknown.stdout) == (2, "")
    assert unknown.stderr == f"--model {model}: unknown runtime 'onxx', did you mean 'onnx'?\n"


def test_no_model_at_all_is_said(photo: Path) -> None:
    result = run("score", photo)
    assert result.exit_code == 2
    assert "--model" in result.stderr
    assert "Traceback" not in result.output


def test_help_names_the_command_and_its_options() -> None:
    top, command = run("--help"), run("score", "--help")
    assert (top.exit_code, command.exit_code) == (0, 0)
    assert "score" in top.stdout
    options = ("PATH", "--model", "--output", "--threshold", "--format", "--gallery")
    assert all(option in command.stdout for option in options)


# Threshold


def test_a_threshold_decides_on_what_is_written(model: Path, tmp_path: Path) -> None:
    paths = [write_grey(tmp_path / f"{level}.png", level) for level in (50, 51, 52)]
    (tmp_path / "text.png").write_text("no image")
    result = run("score", *paths, tmp_path / "text.png", "--model", model, "--threshold", "0.2")
    assert result.exit_code == 1
    rows = rows_of(result.stdout, "decision")
    # 51 / 255 is .2; a file that cannot be scored is rejected.
    assert [row["decision"] for row in rows] == ["reject", "accept", "accept", "reject"]
    assert rows[1]["quality"] == "0.200000"


@given(st.floats(0, 1), st.floats(0, 1))
def test_who_reads_the_table_decides_as_its_writer_did(quality: float, threshold: float) -> None:
    stream = io.StringIO()
    table = ScoreTable(stream, TableFormat.CSV, threshold)
    table.write(Score("a.png", quality, None))
    (row,) = rows_of(stream.getvalue(), "decision")
    assert row["decision"] == ("accept" if float(row["quality"]) >= threshold else "reject")
    assert decide(float(row["quality"]), float(row["quality"])) == "accept"


@pytest.mark.parametrize("threshold", ["-0.1", "1.1", "high", "nan", "null", "None"])
def test_a_threshold_that_is_no_quality_is_refused(threshold: str, model: Path, photo: Path) -> None:
    result = run("score", photo, "--model", model, f"--threshold={threshold}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--threshold" in result.stderr


# Formats


def test_json_lines_hold_what_csv_holds(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    write_awkward_images(folder)
    arguments = ["score", folder, "--model", model, "--threshold", "0.5", "--format"]
    table = rows_of(run(*arguments, "csv").stdout, "decision")
    lines = [json.loads(line) for line in run(*arguments, "jsonl").stdout.splitlines()]
    assert len(lines) == len(table) > 0
    for line, row in zip(lines, table, strict=True):
        assert list(line) == list(row)
        quality = "" if line["quality"] is None else f"{line['quality']:.6f}"
        assert {**line, "quality": quality, "error": line["error"] or ""} == row


def test_the_format_is_that_of_the_output_unless_it_is_named(model: Path, photo: Path, tmp_path: Path) -> None:
    for name, options, first in (
        ("a.jsonl", [], "{"),
        ("a.csv", [], "path"),
        ("a.txt", [], "path"),
        ("b.jsonl", ["--format", "csv"], "path"),
        ("b.csv", ["--format", "jsonl"], "{"),
    ):
        assert run("score", photo, "--model", model, "--output", tmp_path / name, *options).exit_code == 0
        assert (tmp_path / name).read_text().startswith(first)


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), st.booleans())))
def test_every_score_is_one_row_whatever_its_name(found: list[tuple[str, bool]]) -> None:
    written = {}
    for table_format in TableFormat:
        stream = io.StringIO(newline="")
        table = ScoreTable(stream, table_format)
        for path, good in found:
            table.write(Score(path, 0.5, None) if good else Score(path, None, "an error"))
        written[table_format] = stream.getvalue()
    rows = list(csv.DictReader(io.StringIO(written[TableFormat.CSV], newline="")))
    lines = [json.loads(line) for line in written[TableFormat.JSONL].split("\n")[:-1]]
    # Python's csv does not quote a carriage return.
    expected = [path.replace("\r", "\\r") for path, _ in found]
    assert [row["path"] for row in rows] == [line["path"] for line in lines] == expected


# Standard input


def test_names_are_read_from_standard_input(model: Path, photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write_grey(folder / "a b.png", 10)
    write_grey(folder / "c.png", 20)
    names = f"{photo}\n\n{folder}\r\n{tmp_path / 'missing.png'}\n{'x' * 5000}".encode()
    result = run("score", "-", photo, "--model", model, names=names)
    assert result.exit_code == 1
    rows = rows_of(result.stdout)
    expected = [photo, folder / "a b.png", folder / "c.png", tmp_path / "missing.png", "x" * 5000, photo]
    assert [row["path"] for row in rows] == list(map(str, expected))
    assert [row["error"] == "" for row in rows] == [True, True, True, False, False, True]
    assert "2 of 6 files could not be scored" in result.stderr


def test_no_name_on_standard_input_is_said(model: Path) -> None:
    result = run("score", "-", "--model", model, names=b"\n")
    assert (result.exit_code, result.stderr) == (1, "there are no files to score\n")


def test_names_are_scored_before_standard_input_ends(model: Path, photo: Path) -> None:
    """Rows are printed before the writer is done, after more names than are read ahead."""
    command = [sys.executable, "-m", "metrifier_core.cli", "score", "-", "--model", model, "--format", "jsonl"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        ahead = 300 + 4 * (os.cpu_count() or 1)
        running.stdin.write(f"{photo}\n".encode() * ahead)
        running.stdin.flush()
        assert json.loads(running.stdout.readline())["path"] == str(photo)
        running.stdin.close()
        assert len(running.stdout.readlines()) == ahead - 1
    assert running.returncode == 0


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.sampled_from(["photo.png", "missing.png", "text.png"])))
def test_every_name_has_one_row_in_its_order(names: list[str], model: Path, photo: Path) -> None:
    folder = photo.parent
    (folder / "text.png").write_text("no image")
    written = "".join(f"{folder / name}\n" for name in names).encode()
    rows = rows_of(run("score", "-", "--model", model, names=written).stdout)
    assert [Path(row["path"]).name for row in rows] == names
    assert [row["error"] == "" for row in rows] == [name == "photo.png" for name in names]


# Progress


def test_a_command_is_silent_in_a_pipe_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr("metrifier_core.execution.progress._SECONDS_BETWEEN_LINES", 0.0)
    assert list(progress(range(3), "score", unit="images", log=False)) == [0, 1, 2]
    assert sys.stderr.getvalue() == ""
    # The log of a stage has its lines.
    assert list(progress(range(3), "score", unit="image")) == [0, 1, 2]
    assert "metrifier: score" in sys.stderr.getvalue()


@pytest.mark.parametrize(
    ("target", "bar"), [("terminal", False), ("pipe", False), ("shell's file", True), ("--output", True)]
)
def test_a_bar_is_for_a_terminal_that_shows_no_rows(model: Path, photo: Path, target: str, bar: bool) -> None:
    """The output of a pipe may appear on the terminal that would show the bar."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    table = photo.with_suffix(".csv")
    command = [sys.executable, "-m", "metrifier_core.cli", "score", photo, "--model", model]
    with table.open("wb") as file:
        outputs = {"terminal": theirs, "pipe": subprocess.PIPE, "shell's file": file}
        if target == "--output":
            command += ["--output", table]
        subprocess.run(command, stdout=outputs.get(target, theirs), stderr=theirs, check=True)
    os.set_blocking(ours, False)
    shown = b""
    with contextlib.suppress(BlockingIOError):
        while read := os.read(ours, 4096):
            shown += read
    os.close(theirs)
    os.close(ours)
    assert (b"images/s" in shown) is bar
    assert (b"path,quality,error" in shown) is (target == "terminal")
    assert table.read_bytes().startswith(b"path,quality,error") is bar


# Gallery


def test_a_gallery_is_drawn_beside_the_table(model: Path, tmp_path: Path) -> None:
    folder, page = tmp_path / "photos #1", tmp_path / "pages" / "gallery.html"
    folder.mkdir()
    page.parent.mkdir()
    for level in (200, 10, 90):
        write_grey(folder / f"{level}.png", level)
    plain = run("score", folder, "--model", model)
    drawn = run("score", folder, "--model", model, "--gallery", page)
    assert drawn.exit_code == 0
    assert drawn.stdout == plain.stdout
    html = page.read_text(encoding="utf-8")
    assert re.findall(r'href="([^"]*)"', html) == [f"../photos%20%231/{level}.png" for level in (10, 90, 200)]

    printed = run("score", folder, "--model", model, "--gallery", "-", "--output", tmp_path / "scores.csv")
    assert printed.stdout.startswith("<!doctype html>")


def test_two_outputs_in_one_place_are_refused(model: Path, photo: Path, tmp_path: Path) -> None:
    for place in ("-", tmp_path / "scores.csv"):
        result = run("score", photo, "--model", model, "--output", place, "--gallery", place)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == f"--gallery {place}: the table goes there already, name another file with --output\n"
    nowhere = tmp_path / "nowhere" / "gallery.html"
    result = run("score", photo, "--model", model, "--gallery", nowhere)
    assert (result.exit_code, result.stderr) == (2, f"--gallery {nowhere}: No such file or directory\n")
