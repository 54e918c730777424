"""The command line: a row for every file, a status that a script can trust, one sentence where it cannot start."""

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from metrifier_core import Metrifier, __version__
from metrifier_core.cli import app
from metrifier_core.images import encode_png
from tests.core.bad_images import picture, write_awkward_images
from tests.core.tiny_models import write_brightness_metrifier


def run(*arguments: str | Path) -> Result:
    """Runs `metrifier`; an exception other than its exit fails the test."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def rows_of(table: str) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(table))
    rows = list(reader)
    assert reader.fieldnames == ["path", "quality", "error"]
    return rows


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
    assert all(option in command.stdout for option in ("PATH", "--model", "--output"))


def test_version_is_the_packages() -> None:
    command = [sys.executable, "-m", "metrifier_core", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"metrifier {__version__}\n"


def test_help_need_not_wait_for_heavy_libraries() -> None:
    heavy = ("cv2", "mlflow", "numpy", "onnxruntime", "pyarrow", "pydantic", "tensorflow")
    code = f"import sys, metrifier_core.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
