"""All files of a trained network, each compared with the network in memory."""

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
    """Score views with the network in memory, in batches."""
    batches = [views[start : start + _BATCH] for start in range(0, len(views), _BATCH)]
    return np.concatenate([np.asarray(network(batch, training=False), np.float64)[:, 0] for batch in batches])


def check_export(runtime: str, file: Path, views: NDArray[np.uint8], expected: Scores) -> ExportCheck:
    """Compare a file, on the runtime that will score with it, with the network.

    Args:
        runtime: One of `list_runtimes()`.
        file: File to check.
        views: (N, S, S, 3) uint8 RGB.
        expected: (N,) scores of the network itself.

    Raises:
        ValueError: A float32 file scores differently from the network, or scores are NaN.
    """
    scores = open_runtime(runtime, file).run(views)[:, 0]
    constant = np.ptp(scores) == 0 or np.ptp(expected) == 0
    spearman = None if constant else float(spearmanr(scores, expected).statistic)
    check = ExportCheck(largest_difference=float(np.abs(scores - expected).max()), spearman=spearman)
    rank = "" if check.spearman is None else f", Spearman {check.spearman:.4f}"
    say(f"export: {file.name} differs from the network by at most {check.largest_difference:.1e}{rank}")
    # Negated, so that NaN is too large.
    allowed = 1.0 if runtime == "tflite_int8" else _MAX_DIFFERENCE
    if not check.largest_difference <= allowed:
        raise ValueError(
            f"{file.name} does not score like the network: expected a difference of at most {allowed:.0e}, "
            f"got {check.largest_difference:.1e}"
        )
    if runtime == "tflite_int8" and check.spearman is not None and check.spearman < _MIN_SPEARMAN:
        say(f"export: {file.name} ranks views differently from the network; score with another file")
    return check


def export_network(
    network: Any, folder: Path, representative: NDArray[np.uint8], compared: NDArray[np.uint8]
) -> Mapping[Path, ExportCheck]:
    """Write a network for every runtime, and compare each file with the network.

    Args:
        network: Built Keras model from (N, H, W, 3) uint8 RGB to (N, 1) scores.
        folder: Folder to write to.
        representative: (N, S, S, 3) uint8 views like those of the training; they calibrate the int8 file, and TFLite
            files take views of their size only.
        compared: (M, S, S, 3) uint8 views on which files and network are compared.

    Returns:
        The files, each with its comparison.

    Raises:
        ValueError: A float32 file differs from the network by more than 1e-4 on a view, or scores are NaN.
    """
    files = {runtime: folder / name for runtime, name in RUNTIME_FILES.items()}
    expected = _score(network, compared)
    export_keras(network, files["keras"])
    export_onnx(network, files["onnx"])
    export_tflite(network, files["tflite"], representative.shape[1])
    export_tflite_int8(network, files["tflite_int8"], representative)
    return {file: check_export(runtime, file, compared, expected) for runtime, file in files.items()}
