"""`Metrifier`: the score of an image is the same by every method, whatever is scored beside it."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from metrifier_core import ImageError, Metrifier, Score
from metrifier_core.images import encode_png

SHAPES = [(8, 8), (32, 32), (224, 224), (1000, 1000), (8, 300), (500, 333)]


def make_image(height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng([height, width])
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8) // rng.integers(1, 8, dtype=np.uint8)


@pytest.fixture(scope="module")
def metrifier(exported_model: Path) -> Metrifier:
    return Metrifier.load(exported_model)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write a PNG of every shape."""
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{height}x{width}.png" for height, width in SHAPES]
    for path, shape in zip(paths, SHAPES, strict=True):
        path.write_bytes(encode_png(make_image(*shape)))
    return paths


def test_an_image_has_one_score_however_it_is_asked_for(metrifier: Metrifier, files: list[Path]) -> None:
    scores = list(metrifier.score_many(files))
    for shape, path, score in zip(SHAPES, files, scores, strict=True):
        image = make_image(*shape)
        quality = metrifier(image)
        assert 0 <= quality <= 1
        assert metrifier.score(image) == quality
        assert metrifier(path) == metrifier.score(str(path)) == quality
        assert score == Score(str(path), quality, None)
    assert len({score.quality for score in scores}) == len(SHAPES), "images without a difference prove nothing"


def test_a_score_does_not_depend_on_its_neighbours(metrifier: Metrifier, files: list[Path]) -> None:
    alone = {score.path: score for path in files for score in metrifier.score_many([path])}
    crowd = [*reversed(files), *files * 9]
    assert list(metrifier.score_many(crowd)) == [alone[str(path)] for path in crowd]


def test_the_image_is_left_as_it_was(metrifier: Metrifier) -> None:
    image = make_image(100, 80)
    image.flags.writeable = False
    metrifier(image)
    np.testing.assert_array_equal(image, make_image(100, 80))


def test_an_array_may_be_a_view_of_another(metrifier: Metrifier) -> None:
    turned = make_image(100, 80)[::-1, ::-1]
    assert metrifier(turned) == metrifier(turned.copy())


def test_it_is_shown_by_its_folder_runtime_and_fingerprint(metrifier: Metrifier, exported_model: Path) -> None:
    fingerprint = metrifier.card.fingerprint[:12]
    assert (
        repr(metrifier) == f"Metrifier('{exported_model}', runtime='{metrifier.runtime}', fingerprint='{fingerprint}')"
    )


def test_two_loads_agree(metrifier: Metrifier, exported_model: Path, files: list[Path]) -> None:
    assert list(Metrifier(exported_model).score_many(files)) == list(metrifier.score_many(files))


def test_files_are_read_only_a_little_ahead(metrifier: Metrifier, files: list[Path]) -> None:
    scores = metrifier.score_many(itertools.repeat(files[0]))
    assert {next(scores), next(scores)} == {Score(str(files[0]), metrifier(files[0]), None)}


def test_no_files_have_no_scores(metrifier: Metrifier) -> None:
    assert list(metrifier.score_many([])) == []


def test_a_bad_file_gets_its_error_and_the_others_their_scores(
    metrifier: Metrifier, files: list[Path], tmp_path: Path
) -> None:
    text, missing = tmp_path / "text.png", tmp_path / "missing.png"
    text.write_text("no image")
    good, bad, lost, also_good = metrifier.score_many([files[0], text, missing, files[1]])
    assert (good.quality, also_good.quality) == (metrifier(files[0]), metrifier(files[1]))
    assert bad.quality is None
    assert "not an image" in str(bad.error)
    assert lost == Score(str(missing), None, "cannot be read: No such file or directory")
    with pytest.raises(ImageError, match="not an image"):
        metrifier(text)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros((16, 16), np.uint8), id="grey"),
        pytest.param(np.zeros((16, 16, 4), np.uint8), id="with alpha"),
        pytest.param(np.zeros((1, 16, 16, 3), np.uint8), id="a batch"),
        pytest.param(np.zeros((3, 16, 16), np.uint8), id="channels first"),
        pytest.param(np.zeros((16, 16, 3), np.float32), id="floats"),
        pytest.param(np.zeros((16, 16, 3), np.int64), id="wide integers"),
        pytest.param(np.zeros((7, 16, 3), np.uint8), id="too small"),
        pytest.param(np.zeros((0, 0, 3), np.uint8), id="empty"),
        pytest.param([[[0, 0, 0]] * 16] * 16, id="a list"),
        pytest.param(None, id="nothing"),
    ],
)
def test_what_is_no_image_is_an_image_error(metrifier: Metrifier, image: NDArray[np.uint8]) -> None:
    with pytest.raises(ImageError, match=r"expected a uint8 array|at least 8"):
        metrifier(image)


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_a_folder_without_a_model_is_a_clear_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=rf"{name} does not hold a metrifier: there is no metrifier\.json"):
        Metrifier.load(tmp_path / name)


def test_scoring_loads_nothing_that_only_a_pipeline_needs() -> None:
    """A registered model is served where only its few requirements are installed."""
    heavy = ("keras", "mlflow", "pyarrow", "ruamel", "scipy", "sklearn", "tensorflow")
    code = f"import sys, metrifier_core.scoring.metrifier; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
