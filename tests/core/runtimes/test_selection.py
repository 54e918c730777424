"""Runtimes: equal scores from every library, and one clear sentence if a library or a file is missing."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from metrifier_core import Metrifier
from metrifier_core.images import encode_png
from metrifier_core.runtimes import RUNTIME_FILES
from tests.helpers.tiny_models import write_brightness_metrifier, write_metrifier_card

CROP = 64
RUNTIMES = list(RUNTIME_FILES)
EXACT = [name for name in RUNTIMES if name != "tflite_int8"]


def make_views(count: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (count, CROP, CROP, 3), dtype=np.uint8) // rng.integers(
        1, 9, (count, 1, 1, 1), dtype=np.uint8
    )


@pytest.fixture(scope="module")
def folder(exported_model: Path) -> Path:
    return exported_model


@pytest.fixture(scope="module")
def load(folder: Path) -> Callable[[str], Metrifier]:
    loaded = {name: Metrifier.load(folder, name) for name in RUNTIMES}
    return loaded.__getitem__


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_view_has_one_score_alone_and_in_any_batch(runtime: str, load: Callable[[str], Metrifier]) -> None:
    network = load(runtime)._network
    views = make_views(32)
    alone = np.concatenate([network.run(view[None])[:, 0] for view in views])
    assert alone.shape == (32,)
    assert alone.dtype == np.float64
    assert ((alone > 0) & (alone < 1)).all()
    assert np.ptp(alone) > 0.05, "views without a difference prove nothing"
    np.testing.assert_array_equal(network.run(views)[:, 0], alone)
    np.testing.assert_array_equal(network.run(views[:7])[:, 0], alone[:7])


@pytest.mark.parametrize("side", [64, 224, 4000])
def test_images_of_every_size_score_alike_in_all_runtimes(side: int, load: Callable[[str], Metrifier]) -> None:
    image = np.random.default_rng(side).integers(0, 200, (side, side, 3), dtype=np.uint8)
    image[: side // 2] //= 3
    scores = {name: load(name)(image) for name in RUNTIMES}
    for name in EXACT:
        assert scores[name] == pytest.approx(scores["keras"], abs=1e-4)
    assert scores["tflite_int8"] == pytest.approx(scores["keras"], abs=0.05)
    assert scores["tflite_int8"] != scores["tflite"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_many_files_at_once_score_as_one_after_the_other(
    runtime: str, load: Callable[[str], Metrifier], tmp_path: Path
) -> None:
    metrifier = load(runtime)
    paths = [tmp_path / f"{index}.png" for index in range(6)]
    for path, view in zip(paths, make_views(6), strict=True):
        path.write_bytes(encode_png(view))
    expected = [metrifier(path) for path in paths]
    assert [score.quality for score in metrifier.score_many(paths * 10)] == expected * 10
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(metrifier, paths * 20)) == expected * 20


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_single_file_is_scored_by_the_runtime_that_it_is_for(runtime: str, folder: Path) -> None:
    file = folder / RUNTIME_FILES[runtime]
    view = make_views(1)[0]
    loaded = Metrifier.load(file)
    assert loaded.runtime == Metrifier.load(file, runtime).runtime == runtime
    assert loaded(view) == Metrifier.load(folder, runtime)(view)


def test_a_single_file_for_another_runtime_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"metrifier\.onnx is for the runtime 'onnx', not for 'keras'"):
        Metrifier.load(folder / "metrifier.onnx", "keras")


def test_a_single_file_without_its_card_is_refused(folder: Path, tmp_path: Path) -> None:
    alone = shutil.copy(folder / "metrifier.onnx", tmp_path)
    with pytest.raises(ValueError, match=r"does not hold a metrifier: there is no metrifier\.json"):
        Metrifier.load(alone)


def test_another_file_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"metrifier\.json is not a metrifier's file, expected a folder or metri"):
        Metrifier.load(folder / "metrifier.json")


def test_an_unknown_runtime_answers_with_what_is_close(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown runtime 'tflight', did you mean 'tflite'\?"):
        Metrifier.load(folder, "tflight")


@pytest.mark.parametrize("change", ["missing", "empty", "other"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_file_that_the_card_does_not_describe_is_refused(
    runtime: str, change: str, folder: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(folder, tmp_path / "model")
    file = copied / RUNTIME_FILES[runtime]
    if change == "missing":
        file.unlink()
    else:
        file.write_bytes(b"" if change == "empty" else file.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=rf"{file.name} is missing, or is not the file that the card beside it"):
        Metrifier.load(copied, runtime)


def test_the_default_is_the_fastest_in_float32_that_is_there(folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(folder, tmp_path / "model")
    for runtime in ("tflite", "onnx", "keras"):
        assert Metrifier.load(copied).runtime == runtime
        (copied / RUNTIME_FILES[runtime]).unlink()
    with pytest.raises(ValueError, match=r"metrifier\.onnx is missing"):
        Metrifier.load(copied)


def test_a_folder_with_onnx_alone_needs_no_more(tmp_path: Path) -> None:
    assert Metrifier.load(write_brightness_metrifier(tmp_path / "model")).runtime == "onnx"


@pytest.mark.parametrize(
    ("package", "runtime", "sentence"),
    [
        ("ai_edge_litert", "tflite", "needs LiteRT, which is not installed: pip install 'metrifier[tflite]'"),
        ("ai_edge_litert", "tflite_int8", "needs LiteRT, which is not installed: pip install 'metrifier[tflite]'"),
        ("tensorflow", "keras", "needs TensorFlow, which is not installed: pip install 'metrifier[train]'"),
    ],
)
def test_a_missing_package_is_one_sentence_and_the_default_does_without(
    package: str, runtime: str, sentence: str, folder: Path
) -> None:
    """Hide what a registered model does not require, as where it is served."""
    hidden = ("ai_edge_litert", "keras", "mlflow", "pyarrow", "scipy", "sklearn", "tensorflow")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({hidden if runtime == 'tflite' else (package,)!r}))\n"
        "from metrifier_core import Metrifier\n"
        "import numpy as np\n"
        f"default = Metrifier.load({str(folder)!r})\n"
        "print(default.runtime, 0 <= default(np.zeros((70, 70, 3), np.uint8)) <= 1)\n"
        f"try:\n    Metrifier.load({str(folder)!r}, {runtime!r})\n"
        "except ValueError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    default = "tflite" if package == "tensorflow" else "onnx"
    assert done.stdout.splitlines() == [f"{default} True", f"the runtime '{runtime}' {sentence}"]


def test_a_keras_file_that_brings_its_own_python_is_refused(folder: Path, tmp_path: Path) -> None:
    import keras

    pixels = keras.Input((None, None, 3), dtype="uint8")
    score = keras.layers.Lambda(lambda x: keras.ops.mean(keras.ops.cast(x, "float32"), axis=(1, 2))[:, :1] / 255)
    copied = shutil.copytree(folder, tmp_path / "model")
    keras.Model(pixels, score(pixels)).save(copied / "metrifier.keras")
    write_metrifier_card(copied, [copied / "metrifier.keras"], crop=CROP)
    with pytest.raises(ValueError, match=r"metrifier\.keras is not a whole model that Keras can load"):
        Metrifier.load(copied, "keras")
