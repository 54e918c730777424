"""Time per view of every metrifier in every runtime, compared with ResNet50 and BRISQUE on one thread.

    make bench-latency
    make bench-latency LATENCY='--architectures nano --rounds 30'

All score the same uint8 views of 224 pixels, alone and 32 together. They are timed in turns in one process, in
processor time, and ratios are medians over the rounds, so that they hold on a busy machine. Weights are random: speed
does not depend on them. ResNet50 has one output instead of 1,000, and its fastest runtime counts.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images
from threadpoolctl import threadpool_limits

from metrifier_core.architectures import create_network, list_architectures
from metrifier_core.export import export_network, export_onnx
from metrifier_core.export.keras_file import export_keras
from metrifier_core.export.tflite_file import export_tflite
from metrifier_core.runtimes import RUNTIME_FILES, open_runtime

SIDE = 224
BATCHES = (1, 32)
RIVAL, BRISQUE = "ResNet50", "BRISQUE"
PACKAGES = ("metrifier", "keras", "onnxruntime", "ai-edge-litert", "brisque", "numpy")

Views = NDArray[np.uint8]
Contender = Callable[[Views], object]
Taken = dict[tuple[str, str], list[float]]


def _views(count: int, rng: np.random.Generator) -> Views:
    """Cut views out of scikit-learn's two photographs."""
    photos = load_sample_images().images
    views = []
    for index in range(count):
        photo = photos[index % len(photos)]
        top, left = (int(rng.integers(0, size - SIDE)) for size in photo.shape[:2])
        views.append(photo[top : top + SIDE, left : left + SIDE])
    return np.stack(views)


def _metrifiers(names: list[str], folder: Path, views: Views) -> dict[tuple[str, str], Contender]:
    found: dict[tuple[str, str], Contender] = {}
    for name in names:
        (folder / name).mkdir()
        export_network(create_network(name), folder / name, views, views)
        for runtime, file in RUNTIME_FILES.items():
            found[name, runtime] = open_runtime(runtime, folder / name / file).run
    return found


def _resnet(folder: Path, views: Views) -> dict[tuple[str, str], Contender]:
    import keras
    import onnxruntime

    pixels = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    bare = keras.applications.ResNet50(weights=None, classes=1, classifier_activation="sigmoid")
    network = keras.Model(pixels, bare(keras.layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)))
    network(views[:1])  # the ONNX exporter wants a network that was called
    export_keras(network, folder / "resnet.keras")
    export_onnx(network, folder / "resnet.onnx")
    export_tflite(network, folder / "resnet.tflite", SIDE)
    found: dict[tuple[str, str], Contender] = {
        (RIVAL, runtime): open_runtime(runtime, folder / f"resnet.{runtime}").run
        for runtime in ("tflite", "onnx", "keras")
    }
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "resnet.onnx", options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    # A metrifier's runtime scores view by view; a large network may gain by a batch.
    found[RIVAL, "onnx, one batch"] = lambda views: session.run(None, {name: views})
    return found


def _brisque() -> dict[tuple[str, str], Contender]:
    """Return BRISQUE of the package `brisque`: features in NumPy and OpenCV, libsvm's regression."""
    import brisque

    class OnNumpy2(brisque.BRISQUE):  # type: ignore[misc]
        """BRISQUE with scalars where the package has arrays of one, which NumPy 2.4 no longer converts."""

        def scale_features(self, features: Any) -> Any:
            return super().scale_features([np.asarray(feature).item() for feature in features])

    judge = OnNumpy2(url=False)
    return {(BRISQUE, "brisque"): lambda views: [judge.score(view) for view in views]}


def _measure(contenders: Mapping[tuple[str, str], Contender], views: Views, rounds: int) -> Taken:
    """Time every contender once per round, in seconds per image."""
    for contender in contenders.values():
        contender(views)
    taken: Taken = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            start = time.process_time()
            contender(views)
            taken[name].append((time.process_time() - start) / len(views))
    return taken


def _best(taken: Taken, rival: str) -> list[float]:
    """Return a rival's times in its fastest runtime."""
    return min((times for (name, _), times in taken.items() if name == rival), key=statistics.median)


def _rows(measured: Mapping[int, Taken]) -> list[dict[str, Any]]:
    rows = []
    for name, runtime in measured[BATCHES[0]]:
        row: dict[str, Any] = {"network": name, "runtime": runtime}
        for batch, taken in measured.items():
            times = taken[name, runtime]
            row[f"ms_batch_{batch}"] = 1000 * statistics.median(times)
            for rival, key in ((RIVAL, "ratio"), (BRISQUE, "brisque_ratio")):
                ratios = [theirs / ours for theirs, ours in zip(_best(taken, rival), times, strict=True)]
                row[f"{key}_batch_{batch}"] = statistics.median(ratios)
        rows.append(row)
    return rows


def _print(rows: list[dict[str, Any]]) -> None:
    print(f"{'':16} {'':16} {'alone':>35} {'32 together':>35}")
    heading = f"{'ms':>10} {'x ' + RIVAL:>13} {'x ' + BRISQUE:>10}"
    print(f"{'network':16} {'runtime':16} {heading} {heading}")
    for row in rows:
        cells = " ".join(
            f"{row[f'ms_batch_{batch}']:10.2f} {'x' + format(row[f'ratio_batch_{batch}'], '.1f'):>13} "
            f"{'x' + format(row[f'brisque_ratio_batch_{batch}'], '.1f'):>10}"
            for batch in BATCHES
        )
        print(f"{row['network']:16} {row['runtime']:16} {cells}")


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", default=list_architectures(), choices=list_architectures())
    parser.add_argument("--rounds", type=int, default=20, help="rounds of single views; a quarter for 32 together")
    parser.add_argument("--output", type=Path, default=Path("build/latency.json"))
    arguments = parser.parse_args()

    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    views = _views(max(BATCHES), np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as name:
        contenders = _metrifiers(arguments.architectures, Path(name), views) | _resnet(Path(name), views) | _brisque()
        cv2.setNumThreads(1)
        with threadpool_limits(1):
            rounds = {batch: arguments.rounds if batch == 1 else -(-arguments.rounds // 4) for batch in BATCHES}
            measure = partial(_measure, contenders)
            measured = {batch: measure(views[:batch], rounds[batch]) for batch in BATCHES}
    rows = _rows(measured)
    _print(rows)
    result = {
        "rows": rows,
        "rounds": rounds,
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "versions": {package: version(package) for package in PACKAGES},
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
