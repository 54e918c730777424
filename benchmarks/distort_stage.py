"""How fast the stage `distort` is compared with the sum of its parts, and whether its memory grows with the data set.

    python benchmarks/distort_stage.py --images photos/
    python benchmarks/distort_stage.py --images photos/ --memory 500 5000

The parts are decoding, distorting, encoding and writing the same versions, each timed separately on as many threads as
the stage uses, alternating with the stage itself in one process.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from photographs import SHARD, usable_files, write_sources

from metrifier_core.data.records import IMAGES, open_writer, read_rows, shard_file
from metrifier_core.distortions import (
    SEVERITIES,
    apply_severities,
    encode_versions,
    get_distortion,
    list_distortions,
    version_seed,
)
from metrifier_core.execution.parallel import batched, parallel_map
from metrifier_core.images import RgbImage, decode_image, encode_png
from metrifier_core.stages.distort import distort

TYPES = [name for name in list_distortions() if not get_distortion(name).test_only]
ROUNDS = 3
_BATCH = 8  # source images, all of whose versions are in memory at once


def _run_stage(folder: Path, versions: int | None) -> float:
    settings = {"types": TYPES, "versions_per_source": versions}
    with tempfile.TemporaryDirectory() as output:
        start = time.perf_counter()
        distort(settings, 0, shard_file(folder, "images", SHARD), Path(output))
        return time.perf_counter() - start


def _distort(source: tuple[str, RgbImage]) -> tuple[list[bytes], list[RgbImage]]:
    """Make all versions of a source image: the bytes of codecs, the pixels of the others."""
    image_id, image = source
    with_codec, pixels = [], []
    for name in TYPES:
        seed = version_seed(0, image_id, name)
        if get_distortion(name).codec is None:
            pixels += apply_severities(image, name, SEVERITIES, np.random.default_rng(seed))
        else:
            with_codec += encode_versions(image, name, SEVERITIES, seed)
    return with_codec, pixels


def _run_parts(folder: Path) -> dict[str, float]:
    """Do the stage's work one part after the other, and return the seconds of each."""
    seconds = {"decode": 0.0, "distort": 0.0, "encode": 0.0, "write": 0.0}

    def clock(part: str, start: float) -> float:
        now = time.perf_counter()
        seconds[part] += now - start
        return now

    def decode(row: dict[str, Any]) -> tuple[str, RgbImage]:
        return row["image_id"], decode_image(row["image"]["bytes"])

    def encode(pixels: list[RgbImage]) -> list[bytes]:
        return [encode_png(version, deflate=False) for version in pixels]

    keys = {"image_id": "", "label": 0, "distortion": "", "severity": 1, "seed": 0, "split": "test"}
    with tempfile.TemporaryDirectory() as output:
        now = time.perf_counter()
        with open_writer(shard_file(Path(output), "versions", SHARD), IMAGES, "benchmark") as writer:
            for batch in batched(read_rows(shard_file(folder, "images", SHARD)), _BATCH):
                sources = list(parallel_map(decode, batch))
                now = clock("decode", now)
                made = list(parallel_map(_distort, sources))
                now = clock("distort", now)
                encoded = list(parallel_map(encode, [pixels for _, pixels in made]))
                now = clock("encode", now)
                for data in chain.from_iterable([*encoded, *(with_codec for with_codec, _ in made)]):
                    writer.write({**keys, "image": {"bytes": data, "path": ""}})
                now = clock("write", now)
        clock("write", now)
    return seconds


def _compare(folder: Path) -> dict[str, Any]:
    rounds = [(_run_stage(folder, None), _run_parts(folder)) for _ in range(ROUNDS)]
    parts = {part: statistics.median(parts[part] for _, parts in rounds) for part in rounds[0][1]}
    share = statistics.median(sum(parts.values()) / stage for stage, parts in rounds)
    for part, seconds in parts.items():
        print(f"{part:8} {seconds:7.2f} s")
    print(f"{'stage':8} {statistics.median(stage for stage, _ in rounds):7.2f} s")
    print(f"speed of the stage over that of the sum of its parts: {share:.2f}")
    print(f"time of encoding over that of distorting: {parts['encode'] / parts['distort']:.2f}")
    return {"seconds": parts, "share": share}


def _peak(folder: Path) -> None:
    """Run the stage once, alone in this process, and print its peak memory in MB."""
    _run_stage(folder, 4)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(kilobytes / 1024)


def _compare_memory(files: list[Path], counts: list[int]) -> dict[str, Any]:
    peaks = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            write_sources(files, count, Path(folder))
            command = [sys.executable, __file__, "--peak", folder]
            printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
        peaks[count] = float(printed.stdout)
        print(f"{count:6} sources: at most {peaks[count]:.0f} MB")
    print(f"largest over smallest: {max(peaks.values()) / min(peaks.values()):.3f}")
    return {"peak_megabytes": peaks}


def main() -> None:
    """Print the measurements and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="a folder of photographs")
    parser.add_argument("--count", type=int, default=40, help="how many of them to use")
    parser.add_argument(
        "--memory", type=int, nargs="+", help="compare peak memory at these numbers of sources instead of speed"
    )
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=Path("build/distort_stage.json"))
    arguments = parser.parse_args()

    if arguments.peak:
        _peak(arguments.peak)
        return
    if not arguments.images:
        parser.error("name a folder of photographs with --images")
    files = usable_files(arguments.images, arguments.count, np.random.default_rng(0))
    if arguments.memory:
        result = _compare_memory(files, arguments.memory)
    else:
        with tempfile.TemporaryDirectory() as folder:
            write_sources(files, arguments.count, Path(folder))
            result = _compare(Path(folder))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
