"""ONNX files: same outputs as in Keras, incomplete files refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from metrifier_core.runtimes.onnx_runtime import OnnxNetwork
from tests.helpers.echo_workers import write_echo
from tests.helpers.tiny_keras import check_outputs, check_threads, expected_outputs, make_network, unit_pixels
from tests.helpers.tiny_models import FLOAT, FLOAT16


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.float64]]:
    """Export a Keras classifier to ONNX and return its expected outputs."""
    from metrifier_core.export import export_onnx

    network = make_network()
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    expected = expected_outputs(network)
    export_onnx(network, path)
    return path, expected


@pytest.mark.parametrize("batch_size", [None, 1, 3])
def test_an_onnx_file_answers_as_the_keras_model_that_it_was_made_of(
    batch_size: int | None, exported: tuple[Path, NDArray[np.float64]]
) -> None:
    path, expected = exported
    check_outputs(OnnxNetwork(path, batch_size), expected)


def test_several_threads_may_run_an_onnx_file_at_once(exported: tuple[Path, NDArray[np.float64]]) -> None:
    check_threads(OnnxNetwork(exported[0]), unit_pixels)


@pytest.mark.parametrize(("dtype", "step"), [("float32", 2.0**-149), ("float16", 2.0**-24)])
def test_a_network_knows_what_it_takes_and_the_step_of_its_answers(dtype: str, step: float, tmp_path: Path) -> None:
    network = OnnxNetwork(write_echo(tmp_path / "echo.onnx", dtype=dtype, batch=4), batch_size=2)
    assert network.input_shape == (4, 8, 8, 3)
    assert network.input_type == dtype
    assert network.batch_size == 4
    assert network.step == step
    assert OnnxNetwork(write_echo(tmp_path / "echo.onnx", layout="NCHW")).input_shape == (None, 3, 8, 8)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_cut_file_is_refused(share: float, exported: tuple[Path, NDArray[np.float64]], tmp_path: Path) -> None:
    content = exported[0].read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=rf"^{path} is not a whole model that onnxruntime can run: "):
        OnnxNetwork(path)


@pytest.mark.parametrize("content", [b"onnx" * 1000, b"\x00" * 4096, b"<html>404</html>"])
def test_a_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{path} is not a whole model that onnxruntime can run: "):
        OnnxNetwork(path)


def write_graph(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[str],
    outputs: Sequence[str],
    output_type: int = FLOAT,
    constants: Sequence[onnx.TensorProto] = (),
) -> Any:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, FLOAT, ["images", 8, 8, 3]) for name in inputs],
        [helper.make_tensor_value_info(name, output_type, None) for name in outputs],
        list(constants),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return model


def test_more_than_one_input_or_output_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "several.onnx"
    write_graph(path, [helper.make_node("Add", ["a", "b"], ["output"])], ["a", "b"], ["output"])
    with pytest.raises(ValueError, match=rf"^{path} has 2 inputs and 1 outputs, expected one of each$"):
        OnnxNetwork(path)
    nodes = [helper.make_node("Flatten", ["a"], [name]) for name in ("logits", "features")]
    write_graph(path, nodes, ["a"], ["logits", "features"])
    with pytest.raises(ValueError, match=rf"^{path} has 1 inputs and 2 outputs, expected one of each$"):
        OnnxNetwork(path)


@pytest.mark.parametrize("output_type", [TensorProto.INT64, TensorProto.DOUBLE, TensorProto.UINT8])
def test_answers_that_are_no_logits_are_refused(output_type: int, tmp_path: Path) -> None:
    path = tmp_path / "argmax.onnx"
    write_graph(path, [helper.make_node("Cast", ["a"], ["output"], to=output_type)], ["a"], ["output"], output_type)
    with pytest.raises(ValueError, match=rf"^{path} has outputs of type tensor\(.*\), expected float or float16$"):
        OnnxNetwork(path)


def test_a_file_with_weights_in_another_one_is_refused(tmp_path: Path) -> None:
    """The checksum does not cover them."""
    path = tmp_path / "split.onnx"
    weights = numpy_helper.from_array(np.ones((3, 1000), np.float32), "weights")
    model = write_graph(
        path, [helper.make_node("MatMul", ["a", "weights"], ["output"])], ["a"], ["output"], constants=[weights]
    )
    assert OnnxNetwork(path).input_type == "float32"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").is_file()
    with pytest.raises(ValueError, match=rf"^{path} is not a whole model that onnxruntime can run: "):
        OnnxNetwork(path)


def test_answers_of_float16_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    write_graph(path, [helper.make_node("Cast", ["a"], ["output"], to=FLOAT16)], ["a"], ["output"], FLOAT16)
    network = OnnxNetwork(path)
    batch = np.linspace(0, 1, 192, dtype=np.float32).reshape(1, 8, 8, 3)
    outputs = network.run(batch)
    assert (network.input_type, network.step) == ("float32", 2.0**-24)
    assert outputs.dtype == np.float64
    np.testing.assert_array_equal(outputs, batch.astype(np.float16).reshape(1, -1))


def test_an_input_without_a_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scalar.onnx"
    graph = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["output"])],
        "scalar",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [])],
    )
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    with pytest.raises(ValueError, match=rf"^{path} has an input of unknown shape$"):
        OnnxNetwork(path)
