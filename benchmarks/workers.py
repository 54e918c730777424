"""Speed of the stage `worker_evaluate` compared with the bare networks, and growth of its memory with the data set.

    python benchmarks/workers.py tests/realdata/workers.yaml --images photos/
    python benchmarks/workers.py tests/realdata/workers.yaml --images photos/ --memory 300 3000

The stage reads, decodes, prepares, classifies and writes; the bare network gets ready tensors, on a thread per core as
in the stage, or (ONNX) on all cores for one image at a time, whichever is faster. Both are timed in turns in one
process.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from photographs import SHARD, usable_files, write_sources

from metrifier_core.data.records import count_rows, read_rows, shard_file
from metrifier_core.execution.checksums import path_sha256
from metrifier_core.execution.parallel import batched, parallel_map
from metrifier_core.images import decode_image
from metrifier_core.stages.distort import distort
from metrifier_core.stages.worker_evaluate import worker_evaluate
from metrifier_core.workers import (
    ModelInterface,
    WorkerCard,
    WorkerSpec,
    copy_weights,
    find_weights,
    load_worker,
    open_worker,
    read_catalogue,
)
from metrifier_core.workers.preprocessing import prepare

_VERSIONS = 12
_READY = 64  # tensors that the bare network gets in turn


def _write_card(name: str, spec: WorkerSpec, folder: Path) -> None:
    """Write what `prepare_workers` would write, without an accuracy."""
    source = find_weights(name, spec)
    if source is None:
        raise SystemExit(f"{name}: expected an entry with a file of weights")
    weights = copy_weights(name, source, folder)
    unknown = {"clean_accuracy": 0, "clean_accuracy_low": 0, "clean_accuracy_high": 1, "clean_top5_accuracy": 0}
    WorkerCard(
        name=name,
        role="label",
        spec=spec,
        weights=weights.name,
        sha256=path_sha256(weights),
        classes=1000,
        temperature=1,
        calibration_images=0,
        fingerprint="benchmark",
        **unknown,
    ).write(folder)


def _run_stage(workers: Path, names: Sequence[str], versions: Path) -> float:
    with tempfile.TemporaryDirectory() as output:
        start = time.perf_counter()
        worker_evaluate(workers, names, versions, Path(output))
        return time.perf_counter() - start


def _prepare(interface: ModelInterface, versions: Path) -> list[NDArray[np.generic]]:
    """Return ready tensors."""
    rows = read_rows(shard_file(versions, "versions", SHARD))
    return [
        prepare(decode_image(row["image"]["bytes"]), interface) for row, _ in zip(rows, range(_READY), strict=False)
    ]


def _bare_runs(spec: WorkerSpec, weights: Path, tensors: list[NDArray[np.generic]]) -> list[Callable[[int], float]]:
    """Return functions that run a bare network on a number of images and return the seconds."""
    worker = open_worker(spec, weights)
    batches = [np.stack(batch) for batch in batched(tensors, worker.batch_size) if len(batch) == worker.batch_size]

    def thread_per_core(images: int) -> float:
        start = time.perf_counter()
        shown = (batches[index % len(batches)] for index in range(images // worker.batch_size))
        for _ in parallel_map(worker.network.run, shown):
            pass
        return time.perf_counter() - start

    if spec.format != "onnx":
        return [thread_per_core]
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def all_cores_per_image(images: int) -> float:
        start = time.perf_counter()
        for index in range(images):
            session.run(None, {name: batches[index % len(batches)]})
        return time.perf_counter() - start

    return [thread_per_core, all_cores_per_image]


def _compare(workers: Path, names: Sequence[str], versions: Path, rounds: int) -> dict[str, Any]:
    images = count_rows(shard_file(versions, "versions", SHARD))
    print(f"{images} versions, {os.cpu_count()} cores\n")
    print("| worker | bare, images/s | worker_evaluate, images/s | share |")
    print("| --- | ---: | ---: | ---: |")
    rows: dict[str, Any] = {}
    for name in names:
        worker, card = load_worker(workers, name)
        runs = _bare_runs(card.spec, workers / card.weights, _prepare(worker.interface, versions))
        for run in runs:
            run(_READY)
        stage, alone = [], []
        for _ in range(rounds):
            stage.append(_run_stage(workers, [name], versions))
            alone.append(min(run(images) for run in runs))
        share = statistics.median(b / s for b, s in zip(alone, stage, strict=True))
        rows[name] = {
            "bare": images / statistics.median(alone),
            "stage": images / statistics.median(stage),
            "share": share,
        }
        print(f"| {name} | {rows[name]['bare']:.0f} | {rows[name]['stage']:.0f} | {share:.2f} |", flush=True)
    together = statistics.median(_run_stage(workers, names, versions) for _ in range(rounds))
    apart = sum(images / row["stage"] for row in rows.values())
    bare = sum(images / row["bare"] for row in rows.values())
    print(f"\nall {len(names)} in one task: {together:.1f} s, {bare / together:.2f} of what the bare networks reach")
    print(f"a task each, one after the other: {apart:.1f} s, {bare / apart:.2f}")
    seconds = {"together_seconds": together, "apart_seconds": apart, "bare_seconds": bare}
    return {"images": images, "workers": rows, **seconds}


def _compare_memory(workers: Path, name: str, files: list[Path], counts: list[int]) -> dict[str, Any]:
    peaks = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            versions = _make_versions(files, count, Path(folder))
            command = [sys.executable, __file__, str(workers), "--worker", name, "--peak", str(versions)]
            printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
        peaks[count] = float(printed.stdout)
        print(f"{name}, {count * (_VERSIONS + 1):6} versions: at most {peaks[count]:.0f} MB", flush=True)
    print(f"largest over smallest: {max(peaks.values()) / min(peaks.values()):.3f}")
    return {"peak_megabytes": peaks}


def _make_versions(files: list[Path], count: int, folder: Path) -> Path:
    write_sources(files, count, folder / "images")
    settings = {"versions_per_source": _VERSIONS, "held_out": []}
    distort(settings, 0, shard_file(folder / "images", "images", SHARD), folder / "versions")
    return folder / "versions"


def main() -> None:
    """Print the measurements and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--images", type=Path, help="a folder of photographs")
    parser.add_argument("--count", type=int, default=100, help="how many of them to use")
    parser.add_argument("--worker", nargs="+", help="only these workers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="+", help="compare peak memory at these numbers of sources instead")
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=Path("build/workers.json"))
    arguments = parser.parse_args()

    if arguments.peak:
        _run_stage(arguments.catalogue, arguments.worker, arguments.peak)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    if not arguments.images:
        parser.error("name a folder of photographs with --images")
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"  # as the pipeline sets it
    catalogue = read_catalogue(arguments.catalogue)
    names = arguments.worker or list(catalogue)
    files = usable_files(arguments.images, arguments.count, np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        workers = folder / "workers"
        workers.mkdir()
        for name in names:
            _write_card(name, catalogue[name], workers)
        if arguments.memory:
            result = {name: _compare_memory(workers, name, files, arguments.memory) for name in names}
        else:
            versions = _make_versions(files, arguments.count, folder)
            result = _compare(workers, names, versions, arguments.rounds)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
