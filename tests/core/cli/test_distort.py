"""`metrifier distort`: one version in a file, or all of them on a sheet."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from metrifier_core.cli import app
from metrifier_core.distortions import (
    SEVERITIES,
    apply_distortion,
    encode_versions,
    get_distortion,
    list_distortions,
)
from metrifier_core.images import encode_png, read_image
from metrifier_core.report.contact_sheet import contact_sheet
from tests.helpers.bad_images import picture


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["distort", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(encode_png(picture(60, 80)))
    return path


def test_the_file_is_what_the_library_makes(photo: Path, tmp_path: Path) -> None:
    output = tmp_path / "noisy.png"
    result = run(photo, "--type", "gaussian_noise", "--severity", "4", "--seed", "7", "--output", output)
    assert result.exit_code == 0, result.output
    expected = apply_distortion(read_image(photo), "gaussian_noise", 4, np.random.default_rng(7))
    np.testing.assert_array_equal(read_image(output), expected)


def test_options_may_stand_before_the_image(photo: Path, tmp_path: Path) -> None:
    for name, arguments in (("a", [photo]), ("b", ["image", photo])):
        output = tmp_path / f"{name}.png"
        assert run(*arguments, "--type", "contrast", "--output", output).exit_code == 0
    output = tmp_path / "c.png"
    assert run("--type", "contrast", "--output", output, photo).exit_code == 0
    assert len({(tmp_path / f"{name}.png").read_bytes() for name in "abc"}) == 1


def test_a_codec_can_be_kept_as_its_own_bytes(photo: Path, tmp_path: Path) -> None:
    for distortion, suffixes in (("jpeg", [".jpg", ".jpeg", ".JPG"]), ("webp", [".webp"])):
        (expected,) = encode_versions(read_image(photo), distortion, [5], 0)
        for suffix in suffixes:
            output = tmp_path / f"small{suffix}"
            assert run(photo, "--type", distortion, "--severity", "5", "--output", output).exit_code == 0
            assert output.read_bytes() == expected
        output = tmp_path / "small.png"
        assert run(photo, "--type", distortion, "--severity", "5", "--output", output).exit_code == 0
        assert output.read_bytes().startswith(b"\x89PNG")


def test_without_an_output_the_file_is_named_by_what_it_is(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(photo, "--type", "fog").exit_code == 0
    assert (tmp_path / "photo-fog-3.png").is_file()


def test_levels_of_a_file_are_used(photo: Path, tmp_path: Path) -> None:
    levels = tmp_path / "levels.yaml"
    levels.write_text("distortions:\n  contrast:\n    levels: [.9, .8, .7, .6, .5]\n    tcp: [.9, .8, .7, .6, .5]\n")
    output = tmp_path / "flat.png"
    result = run(photo, "--type", "contrast", "--severity", "5", "--levels", levels, "--output", output)
    assert result.exit_code == 0, result.output
    spread = read_image(output).astype(float).std(axis=(0, 1)) / read_image(photo).astype(float).std(axis=(0, 1))
    assert spread == pytest.approx(0.5, abs=0.02)
    assert "0.9" in run("list", "--levels", levels).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a distortion with --type, or ask for a --sheet"),
        (["--type", "fog", "--sheet", "sheet.png"], "name a distortion with --type, or ask for a --sheet"),
        (["--type", "fogg"], "unknown distortion 'fogg', did you mean 'fog'?"),
        (["--type", "fog", "--severity", "6"], "less than or equal to 5"),
        (["--type", "fog", "--seed", "-1"], "greater than or equal to 0"),
        (["--type", "fog", "--output", "fog.jpg"], "--output fog.jpg: fog is written as .png"),
        (["--type", "webp", "--output", "a.jpg"], "webp is written as .png, or in its own format"),
        (["--type", "fog", "--output", "no/where/fog.png"], "--output no/where/fog.png: No such file or directory"),
        (["--type", "jpeg", "--output", "no/where/a.jpg"], "--output no/where/a.jpg: No such file or directory"),
        (["--sheet", "no/where/sheet.png"], "--sheet no/where/sheet.png: No such file or directory"),
        (["--type", "fog", "--levels", "none.yaml"], "--levels: there is no file none.yaml"),
        (["--type", "mine:rain"], "the module cannot be imported"),
    ],
)
def test_what_is_wrong_is_named(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(photo, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.png"]


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\nbroken", b"text"])
def test_a_bad_image_is_refused_with_its_reason(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    for arguments in (["--type", "fog"], ["--sheet", tmp_path / "sheet.png"]):
        result = run(path, *arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith(f"{path}: ")
        assert len(result.stderr.splitlines()) == 1


def test_list_has_a_line_for_every_distortion() -> None:
    lines = run("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list_distortions()
    for line in lines:
        name, family, *levels = line.split()
        found = get_distortion(name)
        assert family == found.family
        assert [float(level) for level in levels[:5]] == pytest.approx(found.severity_levels)
        assert line.endswith("for tests alone") == found.test_only
    noises = run("list", "--family", "noise").stdout.splitlines()
    assert [line.split()[0] for line in noises] == list_distortions("noise")
    refused = run("list", "--family", "smell")
    assert refused.exit_code == 2
    assert "allowed: blur, compression" in refused.stderr


def test_the_sheet_shows_every_type_at_every_severity(photo: Path, tmp_path: Path) -> None:
    output = tmp_path / "sheet.png"
    assert run(photo, "--sheet", output).exit_code == 0
    sheet = read_image(output)
    np.testing.assert_array_equal(sheet, contact_sheet(read_image(photo), seed=0))
    # Cells are what is not paper between the lines of text: columns of 112 pixels, two strips of six.
    coloured = (sheet != 255).any(axis=2).mean(axis=0) > 0.5
    starts = np.flatnonzero(np.diff(coloured.astype(int)) == 1)
    assert len(starts) == 2 * (1 + len(SEVERITIES))
    assert sheet.shape[0] > 112 * len(list_distortions()) / 2

    lossy = tmp_path / "sheet.jpg"
    assert run(photo, "--sheet", lossy).exit_code == 0
    with Image.open(lossy) as opened:
        assert opened.format == "JPEG"
        assert opened.size == (sheet.shape[1], sheet.shape[0])
    assert run(photo, "--sheet", tmp_path / "sheet.xyz").exit_code == 2


def test_help_is_there_at_once() -> None:
    """What makes a command slow is what it imports before it knows what to do."""
    code = "import sys; import metrifier_core.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"numpy", "cv2", "pydantic", "scipy", "onnxruntime", "tensorflow", "pyarrow"} & set(loaded)
    for command in ([], ["image"], ["list"], ["calibrate"]):
        result = run(*command, "--help")
        assert result.exit_code == 0
        if command:
            assert "metrifier distort" in result.stdout, "an example"
