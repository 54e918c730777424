"""A network's files: they score like the network, and equal weights give equal bytes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from metrifier_core.data.metrifier_card import ExportCheck
from metrifier_core.execution.checksums import path_sha256
from metrifier_core.export import export_network
from metrifier_core.runtimes import RUNTIME_FILES
from tests.helpers.spread_network import make_spread_network

SIDE = 48
FILES = {"metrifier.keras", "metrifier.onnx", "metrifier.tflite", "metrifier_int8.tflite"}


def make_views(count: int = 12) -> NDArray[np.uint8]:
    """Noise of several strengths around several greys."""
    rng = np.random.default_rng(0)
    strengths = np.linspace(2, 120, count)[:, None, None, None]
    noise = rng.normal(rng.permutation(np.linspace(60, 200, count))[:, None, None, None], strengths)
    return np.clip(noise + np.zeros((count, SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def network() -> Any:
    return make_spread_network(make_views())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("model")


@pytest.fixture(scope="module")
def checks(network: Any, folder: Path) -> dict[str, ExportCheck]:
    return {file.name: check for file, check in export_network(network, folder, make_views(), make_views()).items()}


def test_every_file_is_written_and_held_against_the_network(checks: dict[str, ExportCheck], folder: Path) -> None:
    assert set(checks) == set(RUNTIME_FILES.values()) == {path.name for path in folder.iterdir()} == FILES
    for name in FILES - {"metrifier_int8.tflite"}:
        assert checks[name].largest_difference < 1e-5
        assert checks[name].spearman == pytest.approx(1)
    integers = checks["metrifier_int8.tflite"]
    assert 1e-5 < integers.largest_difference < 0.05, "integers lose something, and little"
    assert integers.spearman is not None
    assert integers.spearman > 0.97


@pytest.mark.usefixtures("checks")
def test_integers_take_bytes_and_give_a_float_and_their_convolutions_are_small(folder: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / "metrifier_int8.tflite"))
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (taken["dtype"], given["dtype"]) == (np.uint8, np.float32)
    tensors = interpreter.get_tensor_details()
    maps = {tensor["dtype"] for tensor in tensors if "depthwise" in tensor["name"]}
    statistics = {tensor["dtype"] for tensor in tensors if tensor["name"].endswith(("/Mean", "/Sqrt", "/Max"))}
    assert np.int8 in maps
    assert statistics == {np.float32}


@pytest.mark.parametrize("runtime", list(RUNTIME_FILES))
@pytest.mark.usefixtures("checks")
def test_what_a_file_loses_is_said_and_too_much_in_float32_is_refused(
    runtime: str, network: Any, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from metrifier_core.export.network import check_export

    file, views = folder / RUNTIME_FILES[runtime], make_views()
    expected = np.asarray(network(views), np.float64)[:, 0]
    check_export(runtime, file, views, expected)
    said = capsys.readouterr().err
    assert said.startswith(f"metrifier: export: {file.name} differs from the network by at most ")
    spearman = float(said.rpartition(", Spearman ")[2])
    assert spearman > 0.9 if runtime == "tflite_int8" else spearman == 1
    if runtime == "tflite_int8":
        check_export(runtime, file, views, expected[::-1])
        assert "ranks views differently from the network" in capsys.readouterr().err
    for wrong in (expected + (2 if runtime == "tflite_int8" else 2e-4), np.full(len(views), np.nan)):
        with pytest.raises(ValueError, match=rf"^{file.name} does not score like the network"):
            check_export(runtime, file, views, wrong)


def test_the_same_weights_are_the_same_bytes_in_another_process(checks: dict[str, ExportCheck], folder: Path) -> None:
    """Whatever that process did before. End-to-end runs compare ONNX, which needs a fixed hash seed."""
    assert checks
    code = (
        "import sys; from pathlib import Path\n"
        "from metrifier_core.architectures import create_network\n"
        "from metrifier_core.export.keras_file import export_keras\n"
        "from metrifier_core.export.tflite_file import export_tflite, export_tflite_int8\n"
        "from tests.core.export.test_network import SIDE, make_spread_network, make_views\n"
        "folder = Path(sys.argv[1])\n"
        "export_tflite(create_network('nano'), folder / 'before.tflite', 32)\n"
        "network = make_spread_network(make_views())\n"
        "export_keras(network, folder / 'metrifier.keras')\n"
        "export_tflite(network, folder / 'metrifier.tflite', SIDE)\n"
        "export_tflite_int8(network, folder / 'metrifier_int8.tflite', make_views())\n"
    )
    other = folder.parent / "other"
    other.mkdir()
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", code, str(other)]
    subprocess.run(command, check=True, env=environment, cwd=Path(__file__).parents[3], capture_output=True)
    for name in FILES - {"metrifier.onnx"}:
        assert path_sha256(other / name) == path_sha256(folder / name), name
