"""Classifiers that answer with their input, flattened: they show all that is done to an image on its way."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from metrifier_core.execution.checksums import path_sha256
from metrifier_core.runtimes.onnx_runtime import OnnxNetwork
from metrifier_core.workers import ExportedSpec, ModelInterface, Worker
from tests.helpers.tiny_models import FLOAT, FLOAT16, INT8, UINT8, write_onnx

SIZE = 8
VALUES = SIZE * SIZE * 3

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

_TYPES = {"float32": FLOAT, "float16": FLOAT16, "uint8": UINT8, "int8": INT8}


def make_image(height: int = SIZE, width: int = SIZE, seed: int = 0) -> NDArray[np.uint8]:
    """Noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_echo(path: Path, *, layout: str = "NHWC", dtype: str = "float32", batch: int | str = "images") -> Path:
    """Write an ONNX file that takes images of 8 x 8 pixels."""
    shape = [batch, SIZE, SIZE, 3] if layout == "NHWC" else [batch, 3, SIZE, SIZE]
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=FLOAT16 if dtype == "float16" else FLOAT),
        helper.make_node("Flatten", ["numbers"], ["output"]),
    ]
    return write_onnx(path, nodes, shape, _TYPES[dtype])


def make_interface(**changes: Any) -> ModelInterface:
    """Return the interface of an echo: pixels as they stand, for logits."""
    interface = {"input_size": SIZE, "layout": "NHWC", "scale": 1.0, "outputs": "logits"}
    return ModelInterface.model_validate({**interface, **changes})


def make_echo(folder: Path, *, batch: int | str = "images", batch_size: int | None = None, **changes: Any) -> Worker:
    """Return an echo behind an interface that it fits."""
    interface = make_interface(**changes)
    path = write_echo(folder / "echo.onnx", layout=interface.layout, dtype=interface.dtype, batch=batch)
    return Worker(OnnxNetwork(path, batch_size), interface)


def make_entry(weights: Path, **changes: Any) -> dict[str, Any]:
    """Return the catalogue entry of an echo, with changes."""
    entry = {
        "format": "onnx",
        "family": "echo",
        "file": str(weights),
        "sha256": path_sha256(weights) if weights.exists() else "0" * 64,
        "input_size": SIZE,
        "layout": "NHWC",
        "scale": 1.0,
        "outputs": "logits",
    }
    return {**entry, **changes}


def make_spec(weights: Path, **changes: Any) -> ExportedSpec:
    """Return the same as a spec."""
    return ExportedSpec.model_validate(make_entry(weights, **changes))
