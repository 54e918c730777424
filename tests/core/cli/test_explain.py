"""`metrifier score --explain`: a picture for each image, and the same table."""

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from metrifier_core.cli import app
from metrifier_core.images import decode_image, encode_png, read_image
from metrifier_core.report.explanation_picture import draw_explanation
from metrifier_core.scoring.explanation import Explanation
from tests.helpers.bad_images import write_awkward_images
from tests.helpers.example_images import natural_image
from tests.helpers.tiny_models import write_brightness_metrifier


def run(*arguments: str | Path) -> Result:
    """Run `metrifier score`; an exception other than its exit fails the test."""
    return CliRunner().invoke(app, ["score", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_brightness_metrifier(tmp_path_factory.mktemp("run") / "model")


def write_image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(natural_image(1)))
    return path


def pictures(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_each_image_that_can_be_used_has_a_picture(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, maps = tmp_path / "images", tmp_path / "new" / "maps"
    folder.mkdir()
    expected = write_awkward_images(folder)
    monkeypatch.chdir(folder)
    result, plain = run(".", "--model", model, "--explain", maps), run(".", "--model", model)
    assert (result.exit_code, result.stdout) == (plain.exit_code, plain.stdout)
    assert result.exit_code == 1
    assert pictures(maps) == sorted(f"{name}.png" for name, word in expected.items() if word is None)
    for name in pictures(maps):
        assert read_image(maps / name).shape[1] > 1000


def test_pictures_lie_as_the_images_do(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures lie like their images below the current folder, or else below the root."""
    for name in ("photos/day/a.png", "photos/night/a.png", "one.png"):
        write_image(tmp_path / name)
    monkeypatch.chdir(tmp_path / "photos")
    result = run("../one.png", "day", tmp_path / "photos" / "night", "--model", model, "--explain", tmp_path / "maps")
    assert result.exit_code == 0
    outside = (tmp_path / "one.png.png").relative_to("/").as_posix()
    assert pictures(tmp_path / "maps") == sorted(["day/a.png.png", "night/a.png.png", outside])


def test_names_from_standard_input_have_pictures(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "one.png")
    monkeypatch.chdir(tmp_path)
    arguments = ["score", "-", "--model", str(model), "--explain", "maps"]
    result = CliRunner().invoke(app, arguments, input="one.png\n", catch_exceptions=False)
    assert result.exit_code == 0
    assert pictures(tmp_path / "maps") == ["one.png.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not text exist on Linux alone")
def test_awkward_names_are_shown(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [os.fsdecode(b"caf\xe9.png"), "$x^2$ {a} %s.png", "long " * 40 + ".png"]
    for name in names:
        write_image(tmp_path / "photos" / name)
    monkeypatch.chdir(tmp_path / "photos")
    assert run(".", "--model", model, "--explain", tmp_path / "maps").exit_code == 0
    assert pictures(tmp_path / "maps") == sorted(f"{name}.png" for name in names)


def test_no_images_have_no_pictures(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / "empty", "--model", model, "--explain", tmp_path / "maps")
    assert (result.exit_code, result.stderr) == (1, "there are no files to score\n")
    assert pictures(tmp_path / "maps") == []


def test_a_folder_that_cannot_be_made_is_refused_before_any_work(model: Path, tmp_path: Path) -> None:
    photo, table = write_image(tmp_path / "photo.png"), tmp_path / "scores.csv"
    result = run(photo, "--model", model, "--output", table, "--explain", photo)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"--explain {photo}: File exists\n"
    assert not table.exists()


# The picture itself


def explanation(parts: list[list[float]], occlusion: list[list[float]]) -> Explanation:
    return Explanation(0.5, np.array(parts, np.float32), np.array(occlusion, np.float32))


def drawn_colours(png: bytes, panel: int) -> set[tuple[int, ...]]:
    """Return the colours of one of the three panels."""
    picture = decode_image(png)
    third = picture.shape[1] // 3
    return set(map(tuple, picture[:, panel * third : (panel + 1) * third].reshape(-1, 3).tolist()))


def test_a_picture_has_the_image_and_the_ends_of_both_scales() -> None:
    import matplotlib as mpl

    image = np.full((64, 64, 3), (250, 10, 120), np.uint8)
    png = draw_explanation(image, explanation([[0.1, 0.9]], [[0.2, -0.2]]), "photo.png")
    assert png == draw_explanation(image, explanation([[0.1, 0.9]], [[0.2, -0.2]]), "photo.png")
    assert (250, 10, 120) in drawn_colours(png, 0)
    for panel, colours, ends in ((1, "cividis", (0.0, 1.0)), (2, "PuOr", (0.0, 1.0))):
        shown = drawn_colours(png, panel)
        assert {mpl.colormaps[colours](end, bytes=True)[:3] for end in ends} <= shown


@pytest.mark.parametrize(("step", "stands_out"), [(1e-6, False), (0.4, True)])
def test_a_difference_of_nothing_is_not_drawn_as_one(step: float, stands_out: bool) -> None:
    """The colour scale has a minimum width."""
    drawn = draw_explanation(natural_image(2), explanation([[0.5, 0.5 + step]], [[0, step]]), "photo.png")
    picture = decode_image(drawn).astype(int)
    panel, middle = picture.shape[1] // 3, picture.shape[0] // 2
    for left in (panel, 2 * panel):
        one, other = (picture[middle, left + panel * quarter // 4] for quarter in (1, 3))
        assert (np.abs(one - other).max() > 50) == stands_out


@pytest.mark.parametrize("shape", [(8, 8), (30, 3000), (3000, 30), (1200, 1600)])
def test_any_shape_has_a_picture_of_bounded_size(shape: tuple[int, int]) -> None:
    image = cv2.resize(natural_image(3), shape[::-1])
    picture = decode_image(draw_explanation(image, explanation([[0.2], [0.4]], [[0.0], [0.1]]), "photo.png"))
    assert 150 < picture.shape[0] <= 700
    assert 1000 < picture.shape[1] <= 1500
