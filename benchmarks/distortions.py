"""How fast the distortions are compared with those of imagecorruptions and albumentations, on one thread.

    make bench-distortions

All rows are measured in one process on the same photo, alternating, in processor time, and ratios are medians over the
rounds, so that they hold on a busy machine. Each library makes five images of a type: imagecorruptions at its own
severities, albumentations at the parameters closest to ours. A dash means that it has no such type, or fails.
"""

import argparse
import contextlib
import io
import json
import math
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from sklearn.datasets import load_sample_image
from threadpoolctl import threadpool_limits

from metrifier_core.distortions import SEVERITIES, apply_distortion, apply_severities, get_distortion, list_distortions
from metrifier_core.images import RgbImage

PACKAGES = ("metrifier", "imagecorruptions", "albumentations", "numpy", "opencv-python-headless", "pillow")
COUNT = len(SEVERITIES)

Work: TypeAlias = Callable[[], object]
"""Makes the five images of a distortion."""

Taken: TypeAlias = list[dict[tuple[str, str], float]]
"""Seconds by (distortion, column), for each round."""


def _imagecorruptions(image: RgbImage, name: str) -> Work | None:
    from imagecorruptions import corrupt, get_corruption_names

    theirs = {"jpeg": "jpeg_compression"}.get(name, name)
    if theirs not in get_corruption_names("all"):
        return None
    return lambda: [corrupt(image, severity, theirs) for severity in SEVERITIES]


def _albumentations(image: RgbImage, name: str) -> Work | None:
    import albumentations as alb

    def fixed(value: float) -> tuple[float, float]:
        return value, value

    makers: dict[str, Callable[[float], Any]] = {
        "gaussian_noise": lambda level: alb.GaussNoise(std_range=fixed(min(level, 1)), p=1),
        # In linear light.
        "shot_noise": lambda level: alb.ShotNoise(scale_range=fixed(1 / level), p=1),
        # A uniform factor of the same standard deviation.
        "speckle_noise": lambda level: alb.MultiplicativeNoise(
            (max(0, 1 - math.sqrt(3) * level), 1 + math.sqrt(3) * level), per_channel=True, elementwise=True, p=1
        ),
        # All channels of a pixel at once.
        "impulse_noise": lambda level: alb.SaltAndPepper(amount=fixed(level), salt_vs_pepper=fixed(0.5), p=1),
        "gaussian_blur": lambda level: alb.GaussianBlur(sigma_limit=fixed(level), p=1),
        "defocus_blur": lambda level: alb.Defocus(radius=fixed(round(level)), alias_blur=fixed(0.5), p=1),
        "motion_blur": lambda level: alb.MotionBlur(
            fixed(max(3, 2 * int(level / 2) + 1)), allow_shifted=False, direction_range=fixed(0), p=1
        ),
        "zoom_blur": lambda level: alb.ZoomBlur(max_factor=fixed(1 + level), step_factor=fixed(0.01), p=1),
        "jpeg": lambda level: alb.ImageCompression("jpeg", quality_range=fixed(int(level)), p=1),
        "webp": lambda level: alb.ImageCompression("webp", quality_range=fixed(int(level)), p=1),
        "pixelate": lambda level: alb.Downscale(
            fixed(level), {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_NEAREST}, p=1
        ),
        # OpenCV's bicubic interpolation skips pixels while it shrinks.
        "bicubic_downscale": lambda level: alb.Downscale(
            fixed(level), {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_CUBIC}, p=1
        ),
        # Towards one mean, that of the grey image.
        "contrast": lambda level: alb.ColorJitter(fixed(1), fixed(level), fixed(1), fixed(0), p=1),
        "posterize": lambda level: alb.Posterize(num_bits=round(math.log2(level)), p=1),
        "brightness": lambda level: alb.HueSaturationValue(fixed(0), fixed(0), fixed(255 * level), p=1),
        # Only upwards.
        "plasma": lambda level: alb.PlasmaBrightnessContrast(fixed(min(level, 1)), fixed(0), p=1),
    }
    if name not in makers:
        return None
    transforms = [makers[name](level) for level in get_distortion(name).severity_levels]
    return lambda: [transform(image=image) for transform in transforms]


OTHERS = {"imagecorruptions": _imagecorruptions, "albumentations": _albumentations}


def _refusal(work: Work) -> str | None:
    """Try a work once, which also warms it up; a library may fail with this NumPy or at this size."""
    try:
        work()
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None


def _copy(image: RgbImage, target: RgbImage) -> None:
    for _ in SEVERITIES:
        np.copyto(target, image)


def _one_by_one(image: RgbImage, name: str, rng: np.random.Generator) -> None:
    for severity in SEVERITIES:
        apply_distortion(image, name, severity, rng)


def _works(image: RgbImage, rng: np.random.Generator) -> dict[tuple[str, str], Work]:
    """Return what is timed, by (distortion, column)."""
    target = np.empty_like(image)
    works: dict[tuple[str, str], Work] = {}
    for name in list_distortions():
        works[name, "copy"] = partial(_copy, image, target)
        works[name, "single"] = partial(_one_by_one, image, name, rng)
        works[name, "together"] = partial(apply_severities, image, name, SEVERITIES, rng)
        for library, make in OTHERS.items():
            work = make(image, name)
            if work is not None:
                works[name, library] = work
    return works


def _seconds(work: Work) -> float:
    # Processor time of all threads: other processes do not count, a second thread would.
    start = time.process_time()
    work()
    return time.process_time() - start


def _milliseconds(taken: Taken, name: str, column: str) -> float:
    return 1000 * statistics.median(times[name, column] for times in taken)


def _ratio(taken: Taken, name: str, slow: str, fast: str) -> float:
    return statistics.median(times[name, slow] / times[name, fast] for times in taken)


def _row(taken: Taken, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "single_ms": _milliseconds(taken, name, "single") / COUNT,
        "together_ms": _milliseconds(taken, name, "together"),
    }
    for library in OTHERS:
        row[library] = None
        if (name, library) in taken[0]:
            row[library] = {
                "single_ms": _milliseconds(taken, name, library) / COUNT,
                "single": _ratio(taken, name, library, "single"),
                "together": _ratio(taken, name, library, "together"),
            }
    return row | {"times_roofline": _ratio(taken, name, "single", "copy")}


def _summary(rows: dict[str, dict[str, Any]], library: str) -> dict[str, Any]:
    """Return the smallest and the mean ratio of a library's times to ours, over the types that it has."""
    compared = {name: row[library] for name, row in rows.items() if row[library]}
    summary: dict[str, Any] = {"distortions": len(compared)}
    for column in ("single", "together"):
        slowest = min(compared, key=lambda name: compared[name][column])
        summary[column] = {
            "smallest": compared[slowest][column],
            "smallest_of": slowest,
            "geometric_mean": statistics.geometric_mean(ratios[column] for ratios in compared.values()),
        }
    return summary


def _measure(photo: RgbImage, height: int, width: int, rounds: int) -> dict[str, Any]:
    interpolation = cv2.INTER_AREA if height < photo.shape[0] and width < photo.shape[1] else cv2.INTER_CUBIC
    image = np.asarray(cv2.resize(photo, (width, height), interpolation=interpolation))
    works = _works(image, np.random.default_rng(0))
    refused: dict[str, dict[str, str]] = {library: {} for library in OTHERS}
    # Limit threads after the libraries are imported. imagecorruptions prints when it crops.
    cv2.setNumThreads(1)
    with threadpool_limits(1), contextlib.redirect_stdout(io.StringIO()):
        for (name, column), work in list(works.items()):
            if column not in OTHERS:
                work()
            elif refusal := _refusal(work):
                refused[column][name] = refusal
                del works[name, column]
        # Alternating, so that a slow moment of the machine affects every row.
        taken = [{key: _seconds(work) for key, work in works.items()} for _ in range(rounds)]
    rows = {name: _row(taken, name) for name in list_distortions()}
    # Roofline: a call has to read one image and write one.
    least = statistics.median(times[name, "copy"] for times in taken for name in rows) / COUNT
    return {
        "height": height,
        "width": width,
        "rounds": rounds,
        "copied_gigabytes_per_second": 2 * image.nbytes / least / 1e9,
        "roofline_ms": 1000 * least,
        "distortions": rows,
        "summary": {
            library: _summary(rows, library) for library in OTHERS if any(row[library] for row in rows.values())
        },
        "refused": refused,
    }


def _print_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, cells)) for cells in zip(header, *lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    for first, *rest in (header, rule, *lines):
        aligned = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        print("|", " | ".join([first.ljust(widths[0]), *aligned]), "|")


def _print(result: dict[str, Any]) -> None:
    print(
        f"\n{result['height']} x {result['width']}, {result['rounds']} rounds, copied at "
        f"{result['copied_gigabytes_per_second']:.1f} GB/s\n"
    )
    header = ["distortion", "ms", "ms of five"]
    for library in OTHERS:
        header += [f"{library} ms", "x", "x of five"]
    lines = []
    for name, row in result["distortions"].items():
        cells = [name, f"{row['single_ms']:.3f}", f"{row['together_ms']:.3f}"]
        for library in OTHERS:
            other = row[library]
            if other is None:
                cells += ["-", "-", "-"]
            else:
                cells += [f"{other['single_ms']:.3f}", f"{other['single']:.2f}", f"{other['together']:.2f}"]
        lines.append([*cells, f"{result['roofline_ms']:.4f}", f"{row['times_roofline']:.1f}"])
    _print_table([*header, "roofline ms", "x roofline"], lines)
    print()
    for library, summary in result["summary"].items():
        for column, what in (("single", "a call"), ("together", "five severities from one field")):
            ratios = summary[column]
            print(
                f"{library}, {summary['distortions']} types, {what}: x {ratios['geometric_mean']:.2f} in geometric "
                f"mean, x {ratios['smallest']:.2f} at least ({ratios['smallest_of']})"
            )
    for library, reasons in result["refused"].items():
        for name, reason in reasons.items():
            print(f"{library} fails at {name}: {reason}")


def _size(text: str) -> tuple[int, int]:
    height, width = map(int, text.split("x"))
    return height, width


def main() -> None:
    """Print the tables and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes", type=_size, nargs="+", metavar="HxW", default=[(224, 224), (1080, 1920)], help="image sizes"
    )
    parser.add_argument("--rounds", type=int, nargs="+", default=[25, 3], help="one number, or one for each size")
    parser.add_argument("--output", type=Path, default=Path("build/distortions.json"))
    arguments = parser.parse_args()
    rounds = arguments.rounds * len(arguments.sizes) if len(arguments.rounds) == 1 else arguments.rounds
    if len(rounds) != len(arguments.sizes):
        parser.error(f"{len(rounds)} numbers of rounds for {len(arguments.sizes)} sizes")

    warnings.simplefilter("ignore")  # the other libraries warn of themselves
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # do not look for a newer version online
    versions = {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}
    print(", ".join(f"{package} {number}" for package, number in versions.items()))
    print("x: their time over ours; x of five: over our five from one field; x roofline: ours over that of a copy")
    photo = load_sample_image("china.jpg")
    results = []
    for (height, width), count in zip(arguments.sizes, rounds, strict=True):
        results.append(_measure(photo, height, width, count))
        _print(results[-1])
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps({"versions": versions, "sizes": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
