"""Speed of `Metrifier.score_many` and `metrifier score`, as a share of decoding and the bare network.

    python benchmarks/scoring.py --model runs/digits/model --output build/scoring.json
    python benchmarks/scoring.py --model runs/digits/model --runtime onnx

All rows are measured in turns on the same JPEG files, so that their ratios hold on a noisy machine. The command runs on
all files and on one of them: the difference is the time of the others, the rest is its start.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from metrifier_core import Metrifier
from metrifier_core.data.views import make_views
from metrifier_core.execution.parallel import parallel_map
from metrifier_core.images import read_image

ROUNDS = 5


def _write_photos(folder: Path, count: int, rng: np.random.Generator) -> list[Path]:
    """Write JPEGs of 500 x 375 pixels with detail at several scales."""
    paths = []
    for index in range(count):
        photo = np.zeros((375, 500, 3))
        for side in (4, 16, 64, 256):
            field = rng.normal(0, 30, (side, side, 3))
            photo += cv2.resize(field, (500, 375), interpolation=cv2.INTER_CUBIC)
        paths.append(folder / f"{index}.jpg")
        cv2.imwrite(str(paths[-1]), np.clip(photo + 128, 0, 255).astype(np.uint8))
    return paths


def _score(model: str, runtime: str | None, images: Path) -> None:
    """Run `metrifier score` on a file or a folder."""
    command = [sys.executable, "-m", "metrifier_core.cli", "score", str(images), "--model", model]
    command += ["--output", str(images.parent / "scores.csv"), *(["--runtime", runtime] if runtime else [])]
    subprocess.run(command, check=True)  # noqa: S603


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="runs/digits/model")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--output", type=Path, default=Path("build/scoring.json"))
    parser.add_argument("--runtime", help="the default one if not given")
    arguments = parser.parse_args()

    metrifier = Metrifier.load(arguments.model, arguments.runtime)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "photos"
        folder.mkdir()
        paths = _write_photos(folder, arguments.images, np.random.default_rng(0))
        pixels = [read_image(path) for path in paths]
        views = [make_views(image, metrifier.card.crop) for image in pixels]
        works: dict[str, Callable[[], object]] = {
            "decode": lambda: list(parallel_map(read_image, paths)),
            "bare network": lambda: list(parallel_map(metrifier.score_views, views)),
            "score_many": lambda: list(metrifier.score_many(paths)),
            "start": lambda: _score(arguments.model, arguments.runtime, paths[0]),
            "command": lambda: _score(arguments.model, arguments.runtime, folder),
        }
        for work in works.values():
            work()
        # In turns, so that a slow moment of the machine affects every row.
        rounds = [{name: _seconds(work) for name, work in works.items()} for _ in range(ROUNDS)]
    for times in rounds:
        begun = times.pop("start")
        times["metrifier score"] = (times.pop("command") - begun) * arguments.images / (arguments.images - 1)
        times["its start"] = begun
    rows = {name: statistics.median(times[name] for times in rounds) for name in rounds[0]}
    start = rows.pop("its start")
    shares = {
        name: statistics.median((times["decode"] + times["bare network"]) / times[name] for times in rounds)
        for name in ("score_many", "metrifier score")
    }
    network = f"{metrifier.card.architecture} with views of {metrifier.card.crop} pixels, {len(views[0])} per image"
    for name, seconds in rows.items():
        print(f"{name:15} {arguments.images / seconds:8.0f} images/s")
    for name, share in shares.items():
        print(f"{name} reaches {share:.2f} of decode and bare network one after the other, on {metrifier.runtime}")
    print(f"{network}; metrifier score starts in {start:.1f} s, not counted")
    result = {
        "runtime": metrifier.runtime,
        "network": network,
        "start_seconds": start,
        "cores": os.cpu_count(),
        "images_per_second": {name: arguments.images / seconds for name, seconds in rows.items()},
        "shares": shares,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
