"""What each stage costs as the sources grow: wall time and peak memory at 1, 4 and 16 times as many, and in two shards.

    python benchmarks/scaling.py tests/realdata/complete.yaml --sources 256

Every stage runs in its own process, as a task does, which measures the time after its start. All sources are in one
shard, to show what grows with a shard. Training is one epoch, after the frozen ones of the config. The table shows how
far the time at 4 times is from the line through 1 and 16 times, and how peak memory grows. Then the stages that fan out
process 4 times the sources in two concurrent shards, compared with one. Stages that are off the line by more than 15 %
or grow in memory by more than 10 % are listed at the end, and the exit status is 1.
"""

import argparse
import json
import resource
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from PIL import Image

from metrifier_core.config.run import RunConfig, load_config
from metrifier_core.data.records import count_rows, read_rows, shard_file, shard_name
from metrifier_core.execution.progress import say

SCALES = (1, 4, 16)
MAX_DEVIATION, MAX_GROWTH = 0.15, 0.10


@dataclass(frozen=True)
class Cost:
    """The cost of a stage.

    Attributes:
        seconds: Wall time of its longest task.
        cpu: Processor seconds of all its tasks.
        peak: The largest resident memory of a task, in MiB.
        written: Bytes of its output.
    """

    seconds: float
    cpu: float
    peak: float
    written: int


def _task(stage: str, arguments: Mapping[str, Any], sender: Any) -> None:
    function = getattr(import_module(f"metrifier_core.stages.{stage}"), stage)
    started, busy = time.perf_counter(), time.process_time()
    function(**arguments)
    seconds, cpu = time.perf_counter() - started, time.process_time() - busy
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sender.send((seconds, cpu, kilobytes / (1024 if sys.platform == "linux" else 1024**2)))


def _run(stage: str, arguments: Mapping[str, Any]) -> tuple[float, float, float]:
    """Run a task in its own process; return its seconds, its processor seconds and its peak memory in MiB."""
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_task, args=(stage, arguments, sender))
    process.start()
    sender.close()
    try:
        result: tuple[float, float, float] = receiver.recv()
    except EOFError:
        process.join()
        raise SystemExit(f"{stage} failed") from None
    process.join()
    return result


def _describe_images(folder: Path) -> str:
    """Describe the sizes of the source images, from their headers."""
    sizes = []
    for path in sorted(folder.glob("images-*.parquet")):
        for row in read_rows(path, ["image"]):
            data = row["image"]["bytes"]
            with Image.open(BytesIO(data)) as image:
                sizes.append((image.width * image.height, len(data)))
    pixels, stored = (sum(column) / len(sizes) for column in zip(*sizes, strict=True))
    return f"{len(sizes):,} images of {pixels:,.0f} pixels, {stored / 1024:.1f} KiB each on average"


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _cost(stage: str, tasks: list[dict[str, Any]], written: Callable[[], int]) -> Cost:
    """Run a stage's tasks concurrently."""
    with ThreadPoolExecutor(len(tasks)) as pool:
        seconds, cpu, peak = zip(*pool.map(partial(_run, stage), tasks), strict=True)
    return Cost(max(seconds), sum(cpu), max(peak), written())


def measure(config: RunConfig, folder: Path, shards: int, *, fan_out_alone: bool = False) -> dict[str, Cost]:
    """Run every stage in a folder, on concurrent shards; or only the stages up to the last that fans out."""
    costs: dict[str, Cost] = {}
    values = config.model_dump(mode="json")
    names = [shard_name(index, shards) for index in range(shards)]
    workers = [*config.workers.label, *config.workers.held_out]
    images, prepared, quality, model = (folder / name for name in ("images", "prepared", "quality", "model"))
    versions = {name: folder / "versions" / name for name in names}
    parts = {name: folder / "parts" / name for name in names}
    losses = {name: folder / "losses" / name for name in names}

    def add(stage: str, tasks: list[dict[str, Any]], output: Path) -> None:
        say(f"scaling: {stage}, {shards} shards")
        costs[stage] = _cost(stage, tasks, partial(_bytes_in, output))

    seed = {"seed": config.seed}
    source = {"source": values["source"], "splits": values["splits"], **seed, "shards": shards, "output": images}
    add("download", [source], images)
    say(f"scaling: {_describe_images(images)}")
    accepted = sum(count_rows(path) for path in images.glob("images-*.parquet"))
    add("prepare_workers", [{"workers": values["workers"], **seed, "images": images, "output": prepared}], prepared)
    distortions = {"distortions": values["distortions"], **seed}
    distorted = [
        distortions | {"images": shard_file(images, "images", name), "output": versions[name]} for name in names
    ]
    add("distort", distorted, folder / "versions")
    judge = {"workers": prepared, "names": workers}
    evaluated = [judge | {"versions": versions[name], "output": parts[name]} for name in names]
    add("worker_evaluate", evaluated, folder / "parts")
    if fan_out_alone:
        return costs
    joined = [{"parts": [parts[name]], "output": losses[name]} for name in names]
    add("join_losses", joined, folder / "losses")
    tables = {"losses": list(losses.values())}
    merge = {"merge": values["merge"], "accepted": accepted, "rejected": images, "workers": prepared, "output": quality}
    add("merge_dataset", [merge | tables], quality)
    tables["versions"] = list(versions.values())
    epoch = values["metrifier"] | {"epochs": 1}
    training = {"metrifier": epoch, **seed, "versions": tables["versions"], "quality": quality, "output": model}
    add("train_metrifier", [training], model)
    evaluation = folder / "evaluation"
    evaluation.mkdir()
    files = {"metrics": evaluation / "metrics.json", "report": evaluation / "report.html", "evaluation": evaluation}
    inputs = {"rejected": images, "workers": prepared, "quality": quality, "model": model}
    settings = {key: value for key, value in values.items() if key != "tracking"}
    add("evaluate_spearman", [{"config": settings, **inputs, **tables, **files}], evaluation)
    return costs


def _off_the_line(one: float, four: float, sixteen: float) -> float:
    """Return how far the middle is from the line through the ends, as a share."""
    smallest, middle, largest = SCALES
    line = one + (sixteen - one) / (largest - smallest) * (middle - smallest)
    return four / line - 1


def _outside(costs: Mapping[int, Mapping[str, Cost]]) -> list[str]:
    """Describe the stages whose time is off the line or whose memory grows."""
    problems = []
    for stage in costs[SCALES[0]]:
        one, four, sixteen = (costs[scale][stage] for scale in SCALES)
        off, growth = _off_the_line(one.seconds, four.seconds, sixteen.seconds), sixteen.peak / one.peak - 1
        if abs(off) > MAX_DEVIATION:
            problems.append(f"`{stage}` is off the line by {off:+.0%}, of {four.seconds:.1f} s")
        if growth > MAX_GROWTH:
            problems.append(f"`{stage}` grows in memory by {growth:.0%}, to {sixteen.peak:.0f} MiB")
    return problems


def _report(costs: Mapping[int, Mapping[str, Cost]], sources: int) -> list[str]:
    smallest, middle, largest = SCALES
    columns = ["stage", f"seconds at {sources} sources", f"{middle} x", f"{largest} x", f"off the line at {middle} x"]
    columns += ["ms a source", "CPU ms a source", "peak MiB", f"{middle} x", f"{largest} x", "growth", "KiB a source"]
    lines = [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    for stage in costs[smallest]:
        one, four, sixteen = (costs[scale][stage] for scale in SCALES)
        slope = (sixteen.seconds - one.seconds) / (largest - smallest)
        cpu = (sixteen.cpu - one.cpu) / (largest - smallest)
        off = _off_the_line(one.seconds, four.seconds, sixteen.seconds)
        lines.append(
            f"| `{stage}` | {one.seconds:.1f} | {four.seconds:.1f} | {sixteen.seconds:.1f} | "
            f"{off:+.0%} | {1000 * slope / sources:.2f} | {1000 * cpu / sources:.2f} | "
            f"{one.peak:.0f} | {four.peak:.0f} | {sixteen.peak:.0f} | {sixteen.peak / one.peak - 1:+.0%} | "
            f"{sixteen.written / (largest * sources) / 1024:.1f} |"
        )
    totals = [sum(cost.seconds for cost in costs[scale].values()) for scale in SCALES]
    cpu = sum(costs[largest][stage].cpu - costs[smallest][stage].cpu for stage in costs[smallest])
    lines.append(
        f"| all | {totals[0]:.1f} | {totals[1]:.1f} | {totals[2]:.1f} | {_off_the_line(*totals):+.0%} | "
        f"{1000 * (totals[2] - totals[0]) / (largest - smallest) / sources:.2f} | "
        f"{1000 * cpu / (largest - smallest) / sources:.2f} | | | | | |"
    )
    return lines


def main() -> None:
    """Measure, print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings that override the file's")
    parser.add_argument("--sources", type=int, default=256, help="number of source images at 1 x")
    parser.add_argument("--work", type=Path, default=Path("build/scaling"))
    arguments = parser.parse_intermixed_args()
    costs: dict[int, dict[str, Cost]] = {}

    def run(scale: int, name: str, shards: int) -> dict[str, Cost]:
        folder = arguments.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        config = load_config(
            arguments.config, [*arguments.overrides, f"source.max_sources={scale * arguments.sources}"]
        )
        measured = measure(config, folder, shards, fan_out_alone=shards > 1)
        shutil.rmtree(folder)
        return measured

    for scale in SCALES:
        costs[scale] = run(scale, f"{scale}x", 1)
    together = run(SCALES[1], "two shards", 2)
    lines = _report(costs, arguments.sources)
    for stage in ("distort", "worker_evaluate"):
        ratio = together[stage].seconds / costs[SCALES[1]][stage].seconds
        lines.append(f"`{stage}`, {SCALES[1]} x, two shards at the same time over one: {ratio:.2f} of the time")
    sys.stdout.write("\n".join(lines) + "\n")
    results = {scale: {stage: vars(cost) for stage, cost in by_stage.items()} for scale, by_stage in costs.items()}
    (arguments.work / "scaling.json").write_text(json.dumps(results, indent=2) + "\n")
    outside = _outside(costs)
    if outside:
        raise SystemExit("\n".join(outside))


if __name__ == "__main__":
    main()
