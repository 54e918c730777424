"""The choice of the library that runs a network: by name, or the fastest one that is installed."""

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from metrifier_core.runtimes.interface import Network
from metrifier_core.settings.base import closest

RUNTIME_FILES = {
    "keras": "metrifier.keras",
    "onnx": "metrifier.onnx",
    "tflite": "metrifier.tflite",
    "tflite_int8": "metrifier_int8.tflite",
}
"""The runtimes of a metrifier, each with the file of the `model` folder that it opens."""

_FASTEST_FIRST = ("tflite", "onnx", "keras")
_TENSORFLOW = ("tensorflow", "TensorFlow", "metrifier[train]")
_LITERT = ("ai_edge_litert", "LiteRT", "metrifier[tflite]")
_LIBRARIES = {
    "keras": _TENSORFLOW,
    "saved_model": _TENSORFLOW,
    "onnx": ("onnxruntime", "onnxruntime", "metrifier"),
    "tflite": _LITERT,
    "tflite_int8": _LITERT,
}


def list_runtimes() -> list[str]:
    """Return the names of the runtimes that score a metrifier, sorted."""
    return sorted(RUNTIME_FILES)


def _is_installed(runtime: str) -> bool:
    return find_spec(_LIBRARIES[runtime][0]) is not None


def check_installed(runtime: str) -> None:
    """Raise ValueError with the command that installs a runtime's library, unless it is installed."""
    if not _is_installed(runtime):
        _, library, package = _LIBRARIES[runtime]
        raise ValueError(f"the runtime '{runtime}' needs {library}, which is not installed: pip install '{package}'")


def runtime_of_file(file: Path) -> str:
    """Return the name of the runtime that opens a metrifier's file.

    Raises:
        ValueError: No runtime opens a file of that name.
    """
    for runtime, name in RUNTIME_FILES.items():
        if file.name == name:
            return runtime
    raise ValueError(f"{file} is not a metrifier's file, expected a folder or {', '.join(RUNTIME_FILES.values())}")


def choose_runtime(folder: Path, sha256: Mapping[str, str]) -> str:
    """Choose the fastest installed float32 runtime whose file is there; int8 is used on request only.

    Args:
        folder: A `model` folder.
        sha256: Checksums of the files in its card, by file name.

    Returns:
        The runtime's name; "onnx", which needs no extra, if no file is there.
    """
    for runtime in _FASTEST_FIRST:
        name = RUNTIME_FILES[runtime]
        if name in sha256 and (folder / name).is_file() and _is_installed(runtime):
            return runtime
    return "onnx"


def load_runtime(runtime: str, folder: Path, sha256: Mapping[str, str]) -> Network:
    """Open a metrifier's file after verifying its checksum.

    Args:
        runtime: One of `list_runtimes()`.
        folder: A `model` folder.
        sha256: Checksums of the files in its card, by file name.

    Raises:
        ValueError: The runtime is unknown or not installed, or the file is missing or has another checksum.
    """
    if runtime not in RUNTIME_FILES:
        raise ValueError(f"unknown runtime '{runtime}', {closest(runtime, list_runtimes())}")
    check_installed(runtime)
    file = folder / RUNTIME_FILES[runtime]
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != sha256.get(file.name):
        raise ValueError(f"{file} is missing, or is not the file that the card beside it describes")
    return open_runtime(runtime, file)


def open_runtime(
    runtime: str, file: Path, *, batch_size: int | None = 1, reduced_precision: bool = False, use_gpu: bool = False
) -> Network:
    """Open a network's file without a look at its checksum; a metrifier needs the defaults.

    Args:
        runtime: One of `list_runtimes()`, or "saved_model".
        file: The network's file; the folder of a SavedModel.
        batch_size: Images per call where the file leaves it open; None: 1 on a CPU, 32 on a GPU.
        reduced_precision: Let a GPU multiply in TF32.
        use_gpu: Let onnxruntime use a GPU; TensorFlow always uses the one it finds, LiteRT never.

    Raises:
        ValueError: The runtime is unknown or not installed, or cannot run the file.
    """
    if runtime not in _LIBRARIES:
        raise ValueError(f"unknown runtime '{runtime}', {closest(runtime, list(_LIBRARIES))}")
    check_installed(runtime)
    match runtime:
        case "onnx":
            from metrifier_core.runtimes.onnx_runtime import OnnxNetwork

            return OnnxNetwork(file, batch_size, reduced_precision, use_gpu)
        case "tflite" | "tflite_int8":
            from metrifier_core.runtimes.tflite_runtime import TfliteNetwork

            return TfliteNetwork(file)
        case _:
            from metrifier_core.runtimes.keras_runtime import KerasNetwork, load_model, load_saved_model

            model = load_model(file) if runtime == "keras" else load_saved_model(file)
            return KerasNetwork(model, batch_size, reduced_precision)
