"""Which library scores: the one that was asked for, or the fastest that is installed."""

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from metrifier_core.runtimes.interface import Runtime
from metrifier_core.settings.base import closest

RUNTIME_FILES = {
    "keras": "metrifier.keras",
    "onnx": "metrifier.onnx",
    "tflite": "metrifier.tflite",
    "tflite_int8": "metrifier_int8.tflite",
}
"""The runtimes, each with the file that it takes."""

_FASTEST_FIRST = ("tflite", "onnx", "keras")
_NEEDS = {
    "keras": ("tensorflow", "TensorFlow", "metrifier[train]"),
    "onnx": ("onnxruntime", "onnxruntime", "metrifier"),
    "tflite": ("ai_edge_litert", "LiteRT", "metrifier[tflite]"),
    "tflite_int8": ("ai_edge_litert", "LiteRT", "metrifier[tflite]"),
}


def _installed(runtime: str) -> bool:
    return find_spec(_NEEDS[runtime][0]) is not None


def runtime_of_file(file: Path) -> str:
    """Names the runtime that takes a file of a metrifier.

    Raises:
        ValueError: No runtime takes a file of that name.
    """
    for runtime, name in RUNTIME_FILES.items():
        if file.name == name:
            return runtime
    raise ValueError(f"{file} is not a file of a metrifier: expected a folder, or {', '.join(RUNTIME_FILES.values())}")


def choose_runtime(folder: Path, sha256: Mapping[str, str]) -> str:
    """Finds the fastest runtime in float32 that is installed and has its file; integers have to be asked for.

    Args:
        folder: A `model` folder.
        sha256: The files that its card describes.

    Returns:
        Its name; "onnx", the one that needs no extra, where there is no file at all.
    """
    for runtime in _FASTEST_FIRST:
        name = RUNTIME_FILES[runtime]
        if name in sha256 and (folder / name).is_file() and _installed(runtime):
            return runtime
    return "onnx"


def load_runtime(runtime: str, folder: Path, sha256: Mapping[str, str]) -> Runtime:
    """Opens a metrifier's file, once it is known to be the one that its card describes.

    Args:
        runtime: A key of `RUNTIME_FILES`.
        folder: A `model` folder.
        sha256: Checksums of its files, from its card.

    Raises:
        ValueError: There is no such runtime, it is not installed, or the file is missing or another one.
    """
    if runtime not in RUNTIME_FILES:
        raise ValueError(f"unknown runtime '{runtime}', {closest(runtime, list(RUNTIME_FILES))}")
    if not _installed(runtime):
        _, library, package = _NEEDS[runtime]
        raise ValueError(f"the runtime '{runtime}' needs {library}, which is not installed: pip install '{package}'")
    file = folder / RUNTIME_FILES[runtime]
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != sha256.get(file.name):
        raise ValueError(f"{file} is missing or is not the file that the card beside it describes")
    return open_runtime(runtime, file)


def open_runtime(runtime: str, file: Path) -> Runtime:
    """Opens a file, whatever its checksum.

    Args:
        runtime: A key of `RUNTIME_FILES`.
        file: What the runtime takes.
    """
    match runtime:
        case "keras":
            from metrifier_core.runtimes.keras_runtime import KerasRuntime

            return KerasRuntime(file)
        case "onnx":
            from metrifier_core.runtimes.onnx_runtime import OnnxRuntime

            return OnnxRuntime(file.read_bytes())
        case _:
            from metrifier_core.runtimes.tflite_runtime import TfliteRuntime

            return TfliteRuntime(file.read_bytes())
