"""A network's ONNX file depends on its computation alone."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from metrifier_core.export.onnx_file import canonicalize_onnx
from tests.helpers.tiny_models import FLOAT, write_onnx

IMAGES = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)


def write_pooling(path: Path, shape: list[int]) -> Path:
    """Write a network that pools images, gives the result a shape, and flattens it."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "shape"], ["shaped"]),
        helper.make_node("Flatten", ["shaped"], ["output"]),
    ]
    constant = helper.make_tensor("shape", onnx.TensorProto.INT64, [len(shape)], shape)
    return write_onnx(path, nodes, ["images", 3, 4, 4], FLOAT, [constant])


def run(path: Path) -> np.ndarray:
    (outputs,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"images": IMAGES})
    return np.asarray(outputs)


@pytest.mark.parametrize(
    ("shape", "kept"), [([-1, 3, 1, 1], 0), ([2, 3, 1, -1], 1), ([-1, 1, 3, 1], 1), ([-1, 3, 1], 1), ([0, 3, 1, 1], 1)]
)
def test_a_reshape_that_changes_nothing_is_removed(tmp_path: Path, shape: list[int], kept: int) -> None:
    path = write_pooling(tmp_path / "pooling.onnx", shape)
    canonicalize_onnx(path)
    assert [node.op_type for node in onnx.load(path).graph.node].count("Reshape") == kept
    np.testing.assert_allclose(run(path), IMAGES.mean(axis=(2, 3)), rtol=1e-5)


def test_files_of_one_computation_are_equal(tmp_path: Path) -> None:
    with_one, without = write_pooling(tmp_path / "with.onnx", [-1, 3, 1, 1]), tmp_path / "without.onnx"
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["other name"]),
        helper.make_node("Flatten", ["other name"], ["output"]),
    ]
    write_onnx(without, nodes, ["images", 3, 4, 4])
    for path in (with_one, without):
        canonicalize_onnx(path)
    assert with_one.read_bytes() == without.read_bytes()
