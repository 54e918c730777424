"""Pillow and tensorflow-io: the error of each against the pixels that were encoded, and its time.

    make ingest-env
    python benchmarks/decoders.py

Differences are the largest and the mean one, in levels of 255. `metrifier_core.ingest.routes` follows this table.
"""

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

from metrifier_core.images import ImageError, RgbImage, decode_image
from metrifier_core.ingest.client import REMEDY, IngestDecoder, find_ingest_decoder
from metrifier_core.ingest.routes import find_decoder

_REPEATS = 5
_TURNED = 6


class Case(NamedTuple):
    """A TIFF, and the pixels that a viewer should show, from 0 to 255."""

    name: str
    data: bytes
    truth: NDArray[np.float64]
    orientation: int = 1


def _tiff(*pages: NDArray[Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for page in pages:
            writer.write(page, **{"photometric": "rgb", **options})
    return stream.getvalue()


def _tiffs(pixels: RgbImage, wide: NDArray[np.uint16], alpha: NDArray[np.uint16]) -> list[Case]:
    truth = wide / 257
    white = truth * (alpha / 65535) + 255 * (1 - alpha / 65535)
    grey = np.repeat(truth[..., :1], 3, axis=2)
    turned = {"extratags": [(274, "H", 1, _TURNED, True)]}
    narrow = pixels.astype(float)
    cases = [
        ("8 bits", _tiff(pixels), narrow),
        ("8 bits, pages", _tiff(pixels, pixels[::-1]), narrow),
        ("16-bit colour", _tiff(wide), truth),
        ("16-bit colour, pages", _tiff(wide, wide[::-1]), truth),
        ("16-bit colour, deflated", _tiff(wide, compression="zlib", predictor=True), truth),
        ("16-bit colour, a plane each", _tiff(wide.transpose(2, 0, 1), planarconfig="separate"), truth),
        ("16-bit colour, alpha", _tiff(np.dstack([wide, alpha]), extrasamples=["unassalpha"]), white),
        ("16-bit colour, no alpha", _tiff(np.dstack([wide, alpha]), extrasamples=["unspecified"]), truth),
        ("16-bit grey", _tiff(wide[..., 0], photometric="minisblack"), grey),
        ("16-bit grey, tiles", _tiff(wide[..., 0], photometric="minisblack", tile=(64, 64)), grey),
    ]
    upright = np.rot90(truth, -1)
    return [
        *(Case(f"TIFF, {name}", data, expected) for name, data, expected in cases),
        Case("TIFF, 16-bit colour, turned", _tiff(wide, **turned), upright, _TURNED),
    ]


def _cases() -> list[Case]:
    pixels = np.ascontiguousarray(load_sample_image("china.jpg")[:400, :600])
    rng = np.random.default_rng(0)
    noise = rng.integers(-128, 129, pixels.shape)
    wide = np.clip(pixels.astype(int) * 257 + noise, 0, 65535).astype(np.uint16)
    alpha = np.linspace(0, 65535, 400 * 600).reshape(400, 600, 1).astype(np.uint16)
    return _tiffs(pixels, wide, alpha)


def _measure(decode: Callable[[], RgbImage], truth: NDArray[np.float64]) -> dict[str, float | str]:
    times = []
    try:
        for _ in range(_REPEATS):
            started = time.perf_counter()
            image = decode()
            times.append(time.perf_counter() - started)
    except ImageError as error:
        return {"refused": str(error)}
    difference = np.abs(image - truth)
    return {
        "largest": float(difference.max()),
        "mean": float(difference.mean()),
        "milliseconds": 1000 * min(times),
    }


def _text(measured: dict[str, float | str]) -> str:
    if "refused" in measured:
        return "refused"
    return "{largest:.2f} / {mean:.2f} ({milliseconds:.0f} ms)".format(**measured)


def _rows(ingest: IngestDecoder) -> list[dict[str, Any]]:
    ingest.versions()  # starts the process, before anything is timed
    return [
        {
            "case": case.name,
            "pillow": _measure(lambda case=case: decode_image(case.data), case.truth),
            "tensorflow_io": _measure(
                lambda case=case: ingest.decode(case.data, "TIFF", orientation=case.orientation), case.truth
            ),
            "route": find_decoder(case.data),
        }
        for case in _cases()
    ]


def main() -> None:
    """Print the table and write build/decoders.json."""
    ingest = find_ingest_decoder()
    if ingest is None:
        raise SystemExit(f"this needs the ingest decoder: {REMEDY}")
    with ingest:
        rows = _rows(ingest)
    print("| file | Pillow, largest / mean difference | tensorflow-io | route |\n| --- | --- | --- | --- |")
    for row in rows:
        print(f"| {row['case']} | {_text(row['pillow'])} | {_text(row['tensorflow_io'])} | {row['route']} |")
    Path("build").mkdir(exist_ok=True)
    Path("build/decoders.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
