"""`metrifier distort`: versions in files, or all of them on a sheet."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from metrifier_core.cli import app
from metrifier_core.data.records import read_rows, shard_file
from metrifier_core.distortions import (
    SEVERITIES,
    apply_distortion,
    encode_versions,
    get_distortion,
    list_distortions,
    register_codec,
    registry,
)
from metrifier_core.images import decode_image, encode_png, read_image
from metrifier_core.report.contact_sheet import contact_sheet
from metrifier_core.stages.distort import distort
from metrifier_core.stages.download import download
from tests.helpers.bad_images import picture
from tests.helpers.example_images import natural_image


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["distort", *map(str, arguments)], catch_exceptions=False)


def message_of(result: Result) -> str:
    """Return what went to standard error, without the frame and the line breaks of a usage error."""
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(encode_png(picture(60, 80)))
    return path


def test_the_file_is_what_the_library_makes(photo: Path, tmp_path: Path) -> None:
    output = tmp_path / "noisy.png"
    result = run("apply", photo, "--type", "gaussian_noise", "--severity", "4", "--seed", "7", "--output", output)
    assert result.exit_code == 0, result.output
    expected = apply_distortion(read_image(photo), "gaussian_noise", 4, np.random.default_rng(7))
    np.testing.assert_array_equal(read_image(output), expected)


def test_options_may_stand_before_the_image(photo: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    assert run("apply", photo, "--type", "contrast", "--output", first).exit_code == 0
    assert run("apply", "--type", "contrast", "--output", second, photo).exit_code == 0
    assert first.read_bytes() == second.read_bytes()


def test_a_codec_can_be_kept_as_its_own_bytes(photo: Path, tmp_path: Path) -> None:
    for distortion, suffixes in (("jpeg", [".jpg", ".jpeg", ".JPG"]), ("webp", [".webp"])):
        (expected,) = encode_versions(read_image(photo), distortion, [5], 0)
        for suffix in suffixes:
            output = tmp_path / f"small{suffix}"
            assert run("apply", photo, "--type", distortion, "--severity", "5", "--output", output).exit_code == 0
            assert output.read_bytes() == expected
        output = tmp_path / "small.png"
        assert run("apply", photo, "--type", distortion, "--severity", "5", "--output", output).exit_code == 0
        assert output.read_bytes().startswith(b"\x89PNG")


def test_without_an_output_the_file_is_named_by_what_it_is(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("fog", "jpeg", "webp"):
        assert run("apply", photo, "--type", name).exit_code == 0
    assert (tmp_path / "photo-fog-3.png").is_file()
    for name, suffix in (("jpeg", "jpg"), ("webp", "webp")):
        (expected,) = encode_versions(read_image(photo), name, [3], 0)
        assert (tmp_path / f"photo-{name}-3.{suffix}").read_bytes() == expected


def test_levels_of_a_file_are_used(photo: Path, tmp_path: Path) -> None:
    levels = tmp_path / "levels.yaml"
    levels.write_text("distortions:\n  contrast:\n    levels: [.9, .8, .7, .6, .5]\n    tcp: [.9, .8, .7, .6, .5]\n")
    output = tmp_path / "flat.png"
    result = run("apply", photo, "--type", "contrast", "--severity", "5", "--levels", levels, "--output", output)
    assert result.exit_code == 0, result.output
    spread = read_image(output).astype(float).std(axis=(0, 1)) / read_image(photo).astype(float).std(axis=(0, 1))
    assert spread == pytest.approx(0.5, abs=0.02)
    assert "0.9" in run("list", "--levels", levels).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["apply"], "Missing option '--type'"),
        (["apply", "--type", "fogg"], "unknown distortion 'fogg', did you mean 'fog'?"),
        (["apply", "--type", "fog", "--severity", "6"], "less than or equal to 5"),
        (["apply", "--type", "fog", "--severity", "0"], "greater than or equal to 1"),
        (["apply", "--type", "fog", "--seed", "-1"], "greater than or equal to 0"),
        (["apply", "--type", "fog", "--output", "fog.jpg"], "--output: fog is written as .png, got .jpg"),
        (["apply", "--type", "webp", "--output", "a.jpg"], "webp is written as .png or .webp, got .jpg"),
        (["apply", "--type", "fog", "--output", "no/fog.png"], "--output no/fog.png: No such file or directory"),
        (["apply", "--type", "jpeg", "--output", "no/a.jpg"], "--output no/a.jpg: No such file or directory"),
        (["apply", "--type", "fog", "--output", "photo.png/a"], "--output photo.png/a/photo-fog-3.png: "),
        (["apply", "photo.png", "--type", "fog", "--output", "a.png"], "--output a.png: expected a folder"),
        (["apply", ".", "--type", "fog", "--output", "a.png"], "--output a.png: expected a folder"),
        (["apply", "--type", "fog", "--levels", "none.yaml"], "--levels: there is no file none.yaml"),
        (["apply", "--type", "mine:rain"], "the module cannot be imported"),
        (["sheet", "--output", "no/where/sheet.png"], "--output no/where/sheet.png: No such file or directory"),
        (["sheet", "--levels", "none.yaml"], "--levels: there is no file none.yaml"),
    ],
)
def test_what_is_wrong_is_named(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments, photo)
    assert result.exit_code == 2
    assert message in message_of(result)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.png"]


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\nbroken", b"text"])
def test_a_bad_image_is_refused_with_its_reason(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    for arguments, status in ((["apply", "--type", "fog"], 1), (["sheet"], 2)):
        result = run(*arguments, path, "--output", tmp_path / "out.png")
        assert result.exit_code == status
        assert result.stderr.startswith(f"{path}: ")
        assert len(result.stderr.splitlines()) == 1
        assert list(tmp_path.iterdir()) == [path]


# Folders and several images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write two classes of photographs of one size, and a file that is no image."""
    for index, name in enumerate(("cat/a.png", "cat/b.png", "dog/a.png", "dog/b.png")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(natural_image(index, 40, 50)))
    (tmp_path / "photos" / "dog" / "notes.txt").write_text("no image")
    return tmp_path / "photos"


def test_the_images_of_a_folder_are_those_of_a_run_on_it(folder: Path, tmp_path: Path) -> None:
    result = run(
        "apply", folder, "--type", "gaussian_noise", "--severity", "4", "--seed", "7", "--output", tmp_path / "out"
    )
    assert result.exit_code == 1, "one file is no image"

    source = {"kind": "folder", "root": str(folder)}
    splits = {"train": "cat/a.png", "validation": "cat/b.png", "test": "dog/a.png", "calibration": "dog/b.png"}
    rules = [{"match": image_id, split: 1.0} for split, image_id in splits.items()]
    download(source, rules, 7, 1, tmp_path / "images")
    settings = {"types": ["gaussian_noise"], "severities": [4]}
    distort(settings, 7, shard_file(tmp_path / "images", "images", "00000-of-00001"), tmp_path / "versions")
    (table,) = (tmp_path / "versions").glob("versions-*.parquet")
    versions = {row["image_id"]: row for row in read_rows(table) if row["distortion"] == "gaussian_noise"}
    assert sorted(versions) == sorted(splits.values())
    for image_id, row in versions.items():
        written = (tmp_path / "out" / image_id).with_suffix("").as_posix() + "-gaussian_noise-4.png"
        np.testing.assert_array_equal(read_image(written), decode_image(row["image"]["bytes"]))
        again = tmp_path / "again.png"
        arguments = ["--type", "gaussian_noise", "--severity", "4", "--seed", str(row["seed"]), "--output", again]
        assert run("apply", folder / image_id, *arguments).exit_code == 0
        np.testing.assert_array_equal(read_image(again), read_image(written))


def test_a_bad_file_among_others_is_named_and_skipped(folder: Path, photo: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    result = run("apply", photo, folder, "no.png", "--type", "jpeg", "--output", output)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"{folder / 'dog' / 'notes.txt'}: not an image in a known format (JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, AVIF)",
        "no.png: cannot be read: No such file or directory",
        "2 of 7 images were not distorted",
    ]
    files = sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file())
    assert files == ["cat/a-jpeg-3.jpg", "cat/b-jpeg-3.jpg", "dog/a-jpeg-3.jpg", "dog/b-jpeg-3.jpg", "photo-jpeg-3.jpg"]
    for name in ("cat/a", "cat/b", "dog/a", "dog/b"):
        (expected,) = encode_versions(read_image(folder / f"{name}.png"), "jpeg", [3], 0)
        assert (output / f"{name}-jpeg-3.jpg").read_bytes() == expected


def test_two_images_never_share_a_file(folder: Path, tmp_path: Path) -> None:
    first, second = folder / "cat" / "a.png", folder / "dog" / "a.png"
    result = run("apply", first, second, "--type", "contrast", "--output", tmp_path / "out")
    assert result.exit_code == 1
    written = tmp_path / "out" / "a-contrast-3.png"
    assert result.stderr.splitlines()[0] == f"{second}: {written} is written already, from {first}"
    expected = apply_distortion(read_image(first), "contrast", 3, np.random.default_rng(0))
    np.testing.assert_array_equal(read_image(written), expected)


def test_a_folder_without_files_is_named(tmp_path: Path) -> None:
    result = run("apply", tmp_path, "--type", "fog")
    assert (result.exit_code, result.stderr) == (1, "there are no images to distort\n")


def test_a_codec_of_ones_own_keeps_its_bytes(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))

    @register_codec((95, 1), levels=(80, 60, 40, 20, 10))
    def grey_jpeg(image: Any, quality: float) -> bytes:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return bytes(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1])

    name = f"{__name__}:grey_jpeg"
    assert run("apply", photo, "--type", name, "--output", tmp_path).exit_code == 0
    written = tmp_path / f"photo-{name.replace(':', '.')}-3.jpg"
    assert written.read_bytes() == grey_jpeg(read_image(photo), 40)


# The other commands


def test_list_has_a_line_for_every_distortion() -> None:
    lines = run("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list_distortions()
    for line in lines:
        name, family, *levels = line.split()
        found = get_distortion(name)
        assert family == found.family
        assert [float(level) for level in levels[:5]] == pytest.approx(found.severity_levels)
        assert line.endswith("test only") == found.test_only
    noises = run("list", "--family", "noise").stdout.splitlines()
    assert [line.split()[0] for line in noises] == list_distortions("noise")
    refused = run("list", "--family", "smell")
    assert refused.exit_code == 2
    assert "allowed: blur, compression" in refused.stderr


def test_the_sheet_shows_every_type_at_every_severity(photo: Path, tmp_path: Path) -> None:
    output = tmp_path / "sheet.png"
    assert run("sheet", photo, "--output", output).exit_code == 0
    sheet = read_image(output)
    np.testing.assert_array_equal(sheet, contact_sheet(read_image(photo), seed=0))
    # Cells are not white between the lines of text: columns of 112 pixels, two strips of six.
    coloured = (sheet != 255).any(axis=2).mean(axis=0) > 0.5
    starts = np.flatnonzero(np.diff(coloured.astype(int)) == 1)
    assert len(starts) == 2 * (1 + len(SEVERITIES))
    assert sheet.shape[0] > 112 * len(list_distortions()) / 2

    lossy = tmp_path / "sheet.jpg"
    assert run("sheet", photo, "--output", lossy).exit_code == 0
    with Image.open(lossy) as opened:
        assert opened.format == "JPEG"
        assert opened.size == (sheet.shape[1], sheet.shape[0])
    assert run("sheet", photo, "--output", tmp_path / "sheet.xyz").exit_code == 2


def test_help_is_there_at_once() -> None:
    """Help needs no heavy library."""
    code = "import sys; import metrifier_core.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"numpy", "cv2", "pydantic", "scipy", "onnxruntime", "tensorflow", "pyarrow"} & set(loaded)
    for command in ([], ["apply"], ["sheet"], ["list"], ["calibrate"]):
        result = run(*command, "--help")
        assert result.exit_code == 0
        if command:
            assert "metrifier distort" in result.stdout, "an example"
