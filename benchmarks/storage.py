"""Lossless encodings for versions: their size, and their time to write and read, on real images.

    python benchmarks/storage.py --images photos/

Each is followed by zstd, as in Parquet's columns. All are measured in turns in one process, so that their ratios hold
on a noisy machine.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from metrifier_core.distortions import apply_distortion, encode_versions, get_distortion, list_distortions
from metrifier_core.images import ImageError, RgbImage, decode_image, encode_png, read_image
from metrifier_core.sources import list_files

_MAX_SAMPLE = 1 << 21  # pixels: a few photographs from a phone would outweigh the rest

Encode = Callable[[RgbImage], bytes]


def _encode(extension: str, *options: int) -> Encode:
    def encode(image: RgbImage) -> bytes:
        return bytes(cv2.imencode(extension, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), list(options))[1])

    return encode


def _raw(image: RgbImage) -> bytes:
    """Return a PPM: a short header, then the raw pixels."""
    return b"P6\n%d %d\n255\n" % (image.shape[1], image.shape[0]) + image.tobytes()


_LEVEL, _FILTER = cv2.IMWRITE_PNG_COMPRESSION, cv2.IMWRITE_PNG_FILTER
WAYS: dict[str, Encode] = {
    "PNG, OpenCV's defaults": encode_png,
    "PNG, level 1": _encode(".png", _LEVEL, 1),
    "PNG, level 6": _encode(".png", _LEVEL, 6),
    "PNG, level 0, no filter": _encode(".png", _LEVEL, 0, _FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
    "PNG, level 0, left": _encode(".png", _LEVEL, 0, _FILTER, cv2.IMWRITE_PNG_FILTER_SUB),
    "PNG, level 0, Paeth": _encode(".png", _LEVEL, 0, _FILTER, cv2.IMWRITE_PNG_FILTER_PAETH),
    "PNG, level 0, above (chosen)": lambda image: encode_png(image, deflate=False),
    "raw (PPM)": _raw,
    "WebP, lossless": _encode(".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
}


def _photos(folder: Path, count: int, rng: np.random.Generator) -> list[RgbImage]:
    """Read some images of moderate size below a folder."""
    files = list_files(folder)
    photos: list[RgbImage] = []
    for index in rng.permutation(len(files)):
        try:
            image = read_image(files[index])
        except ImageError:
            continue
        if image.size <= 3 * _MAX_SAMPLE:
            photos.append(image)
        if len(photos) == count:
            break
    return photos


def _with_codec(distortion: str, photo: RgbImage) -> bytes:
    return encode_versions(photo, distortion, [3], seed=0)[0]


def _clock(work: Callable[[Any], Any], items: list[Any]) -> tuple[list[Any], float]:
    """Return the results of some work on all items, and the milliseconds per item."""
    start = time.perf_counter()
    results = [work(item) for item in items]
    return results, (time.perf_counter() - start) / len(items) * 1e3


def _measure(encode: Encode, versions: list[RgbImage]) -> dict[str, float]:
    zstd = pa.Codec("zstd", 1)
    encoded, encoding = _clock(encode, versions)
    packed, packing = _clock(lambda data: (zstd.compress(data, asbytes=True), len(data)), encoded)
    unpacked, unpacking = _clock(lambda pair: zstd.decompress(pair[0], pair[1], asbytes=True), packed)
    _, decoding = _clock(decode_image, unpacked)
    return {
        "kilobytes": float(np.mean([len(data) for data, _ in packed])) / 1e3,
        "write_ms": encoding + packing,
        "read_ms": unpacking + decoding,
    }


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--count", type=int, default=12, help="how many of them to use")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("build/storage.json"))
    arguments = parser.parse_args()

    cv2.setNumThreads(1)
    photos = _photos(arguments.images, arguments.count, np.random.default_rng(0))
    names = list_distortions()
    lossless = [name for name in names if get_distortion(name).codec is None]
    versions = [
        apply_distortion(photo, name, (1, 3, 5)[index % 3], np.random.default_rng(index))
        for index, photo in enumerate(photos)
        for name in lossless
    ]
    for name, way in WAYS.items():
        if not all(np.array_equal(decode_image(way(version)), version) for version in versions[: len(lossless)]):
            raise SystemExit(f"{name} is not lossless")
    works: dict[str, tuple[Encode, list[RgbImage]]] = {name: (way, versions) for name, way in WAYS.items()}
    for name in sorted(set(names) - set(lossless)):
        works[f"{name}: the codec's own bytes"] = (partial(_with_codec, name), photos)
    rounds = [{name: _measure(*work) for name, work in works.items()} for _ in range(arguments.rounds)]
    rows = {
        name: {column: statistics.median(found[name][column] for found in rounds) for column in rounds[0][name]}
        for name in works
    }
    pixels = statistics.mean(photo.size / 3 for photo in photos)
    print(f"{len(versions)} versions of {len(photos)} images, {pixels / 1e3:.0f} thousand pixels each\n")
    print("| stored as | kilobytes | write, ms | read, ms |\n| --- | --- | --- | --- |")
    for name, row in rows.items():
        print(f"| {name} | {row['kilobytes']:.0f} | {row['write_ms']:.2f} | {row['read_ms']:.2f} |")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps({"images": len(photos), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
