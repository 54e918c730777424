"""ONNX files of a few bytes, whose every output can be worked out by hand."""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from metrifier_core.data.metrifier_card import MODEL_CARD, MetrifierCard
from metrifier_core.execution.checksums import file_sha256

FLOAT = TensorProto.FLOAT
FLOAT16 = TensorProto.FLOAT16
UINT8 = TensorProto.UINT8
INT8 = TensorProto.INT8


def write_onnx(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    input_shape: Sequence[int | str],
    input_type: int = FLOAT,
    constants: Sequence[onnx.TensorProto] = (),
) -> Path:
    """Write a model from the tensor `image` to the tensor `output`, a row an image."""
    output_type = FLOAT if input_type in (UINT8, INT8) else input_type
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", input_type, input_shape)],
        [helper.make_tensor_value_info("output", output_type, ["images", "values"])],
        list(constants),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def write_brightness_metrifier(folder: Path, crop: int = 32) -> Path:
    """Write a `model` folder whose metrifier says how bright a view is: 0 is black, 1 is white."""
    folder.mkdir(parents=True)
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Div", ["mean", "white"], ["share"]),
        helper.make_node("Unsqueeze", ["share", "last"], ["output"]),
    ]
    constants = [
        helper.make_tensor("white", FLOAT, [], [255.0]),
        helper.make_tensor("last", TensorProto.INT64, [1], [1]),
    ]
    weights = write_onnx(
        folder / "metrifier.onnx", nodes, ["views", "height", "width", 3], TensorProto.UINT8, constants
    )
    write_metrifier_card(folder, [weights], crop=crop)
    return folder


def write_metrifier_card(folder: Path, files: Sequence[Path], *, crop: int, architecture: str = "brightness") -> None:
    """Write the card that makes a folder with weights the folder of a metrifier."""
    card = MetrifierCard(
        architecture=architecture,
        crop=crop,
        package_version="0",
        fingerprint="0",
        parameters=0,
        best_epoch=1,
        validation_spearman=0.5,
        sha256={file.name: file_sha256(file) for file in files},
    )
    (folder / MODEL_CARD).write_text(card.model_dump_json())
