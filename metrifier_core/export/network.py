"""All files of a trained network, each held against the network that it was made of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from metrifier_core.data.metrifier_card import ExportCheck
from metrifier_core.execution.progress import say
from metrifier_core.export.keras_file import export_keras
from metrifier_core.export.onnx_file import export_onnx
from metrifier_core.export.tflite_file import export_tflite, export_tflite_int8
from metrifier_core.runtimes import RUNTIME_FILES, open_runtime

_MAX_DIFFERENCE = 1e-4
_MIN_SPEARMAN = 0.95
_BATCH = 32

Scores = NDArray[np.float64]


def _score(network: Any, views: NDArray[np.uint8]) -> Scores:
    """Scores views by the network in memory, a few at a time."""
    batches = [views[start : start + _BATCH] for start in range(0, len(views), _BATCH)]
    return np.concatenate([np.asarray(network(batch, training=False), np.float64)[:, 0] for batch in batches])


def _compare(found: Scores, expected: Scores) -> ExportCheck:
    constant = np.ptp(found) == 0 or np.ptp(expected) == 0
    return ExportCheck(
        largest_difference=float(np.abs(found - expected).max()),
        spearman=None if constant else float(spearmanr(found, expected).statistic),
    )


def check_export(runtime: str, file: Path, views: NDArray[np.uint8], expected: Scores) -> ExportCheck:
    """Holds one file against the network, on the runtime that will score with it, and says what it loses.

    Args:
        runtime: A key of `RUNTIME_FILES`.
        file: The file.
        views: (N, S, S, 3) uint8 RGB.
        expected: (N,) scores of the network itself.

    Raises:
        ValueError: It is a file in float32 and does not score as the network does, or its scores are no numbers.
    """
    check = _compare(open_runtime(runtime, file).run(views)[:, 0], expected)
    rank = "" if check.spearman is None else f", Spearman {check.spearman:.4f}"
    say(f"export: {file.name} differs from the network by at most {check.largest_difference:.1e}{rank}")
    # Written so that a difference that is no number is too large.
    allowed = 1.0 if runtime == "tflite_int8" else _MAX_DIFFERENCE
    if not check.largest_difference <= allowed:
        raise ValueError(
            f"{file.name} does not score as the network that it was made of: their scores differ by up to "
            f"{check.largest_difference:.1e}, more than {allowed:.0e}"
        )
    if runtime == "tflite_int8" and check.spearman is not None and check.spearman < _MIN_SPEARMAN:
        say(f"export: {file.name} ranks views otherwise than the network does; score with another file")
    return check


def export_network(
    network: Any, folder: Path, representative: NDArray[np.uint8], compared: NDArray[np.uint8]
) -> Mapping[Path, ExportCheck]:
    """Writes a network for every runtime, and compares each file with it.

    Args:
        network: A built Keras model from (N, H, W, 3) uint8 RGB to (N, 1) scores.
        folder: Where the files go.
        representative: (N, S, S, 3) uint8 views such as the network was trained on: they calibrate the integers, and
            TFLite files take views of their size alone.
        compared: (M, S, S, 3) uint8, other views, on which files and network are compared.

    Returns:
        The files, each with what it lost.

    Raises:
        ValueError: A file in float32 scores a view by more than 1e-4 otherwise than the network does, or one in
            integers gives what is no number.
    """
    files = {runtime: folder / name for runtime, name in RUNTIME_FILES.items()}
    expected = _score(network, compared)
    export_keras(network, files["keras"])
    export_onnx(network, files["onnx"])
    export_tflite(network, files["tflite"], representative.shape[1])
    export_tflite_int8(network, files["tflite_int8"], representative)
    return {file: check_export(runtime, file, compared, expected) for runtime, file in files.items()}
