"""Classifiers of colours in ONNX files of a few bytes, right only where images are shown to them as they expect it."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from metrifier_core.data.records import IMAGES, open_writer, shard_file
from metrifier_core.execution.checksums import file_sha256
from metrifier_core.images import encode_png
from metrifier_core.workers import ExportedSpec
from tests.helpers.tiny_models import FLOAT, FLOAT16, write_onnx

# Found by chance among thousands: whoever swaps red and blue or takes another scaling is right on four of ten at most.
COLOURS: NDArray[np.int64] = np.array(
    [
        (105, 160, 140),
        (185, 115, 175),
        (205, 120, 245),
        (75, 225, 205),
        (5, 255, 235),
        (95, 35, 155),
        (25, 195, 195),
        (95, 60, 250),
        (75, 135, 255),
        (55, 55, 255),
    ]
)
CLASSES = len(COLOURS)

SIZE = 8
SHARPNESS = 40.0
NEVER = -1e6


def colour_logits(pixels: NDArray[Any], classes: Sequence[int] = range(CLASSES)) -> NDArray[np.float64]:
    """(N, classes) logits of N colours by hand: how near each is to a class's own, in [0, 1]."""
    difference = pixels[:, None] / 255 - COLOURS[list(classes)] / 255
    return np.asarray(-SHARPNESS * (difference**2).sum(axis=2))


def write_colour_classifier(
    path: Path,
    *,
    scale: float = 1 / 255,
    mean: Sequence[float] = (0, 0, 0),
    std: Sequence[float] = (1, 1, 1),
    layout: str = "NHWC",
    batch: int | str = "images",
    classes: Sequence[int] = range(CLASSES),
    colours: NDArray[Any] = COLOURS,
    background: int = 0,
    probabilities: bool = False,
    input_type: int = FLOAT,
    last: Sequence[onnx.NodeProto] = (),
) -> Path:
    """Write a classifier that finds which of `classes` has the colour that is nearest to an image's mean one.

    Its input is expected in RGB as (x * scale - mean) / std; `background` outputs that never win stand before those
    of `classes`; the nodes `last`, where given, make its `output` of its `logits`.
    """
    shown = (colours[list(classes)] * scale - np.array(mean)) / np.array(std)
    # Of the squared distance, what depends on the class is linear in the colour.
    unit = np.array(std) / (255 * scale)
    weights = 2 * SHARPNESS * (shown * unit**2).T
    bias = -SHARPNESS * ((shown * unit) ** 2).sum(axis=1)
    weights = np.concatenate([np.zeros((3, background)), weights], axis=1)
    bias = np.concatenate([np.full(background, NEVER), bias])
    axes = [1, 2] if layout == "NHWC" else [2, 3]
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["colour"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["colour", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
    ]
    nodes += last or [
        helper.make_node("Softmax" if probabilities else "Identity", ["logits"], ["values"]),
        helper.make_node("Cast", ["values"], ["output"], to=FLOAT16 if input_type == FLOAT16 else FLOAT),
    ]
    constants = [
        helper.make_tensor("weights", FLOAT, weights.shape, weights.ravel()),
        helper.make_tensor("bias", FLOAT, bias.shape, bias),
    ]
    shape = [batch, SIZE, SIZE, 3] if layout == "NHWC" else [batch, 3, SIZE, SIZE]
    return write_onnx(path, nodes, shape, input_type, constants)


def make_entry(weights: Path, **changes: Any) -> dict[str, Any]:
    """Return the catalogue entry of a classifier as `write_colour_classifier` writes it, with changes."""
    entry = {
        "format": "onnx",
        "family": "colour",
        "file": str(weights),
        "sha256": file_sha256(weights) if weights.is_file() else "0" * 64,
        "input_size": SIZE,
        "layout": "NHWC",
        "outputs": "logits",
    }
    return {**entry, **changes}


def make_spec(weights: Path, **changes: Any) -> ExportedSpec:
    """Return the same as a spec."""
    return ExportedSpec.model_validate(make_entry(weights, **changes))


def draw_colours(count: int, noise: float = 0.0, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(N, 3) colours near those of their classes, and their labels; every class as often."""
    labels = np.arange(count) % CLASSES
    moved = COLOURS[labels] + np.random.default_rng(seed).normal(0, noise, (count, 3))
    return np.rint(moved).clip(0, 255).astype(np.uint8), labels


def plain_image(colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image of one colour."""
    return np.tile(colour, (SIZE, SIZE, 1))


def write_manifest(
    folder: Path, colours: NDArray[np.uint8], labels: Sequence[int] | NDArray[np.int64], name: str = "{:03d}.png"
) -> Path:
    """Plain images below `folder/images`, and a CSV file beside that names them and their labels."""
    rows = []
    for index, (colour, label) in enumerate(zip(colours, labels, strict=True)):
        path = folder / "images" / name.format(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(plain_image(colour)))
        rows.append((name.format(index), int(label)))
    return write_rows(folder / "manifest.csv", rows)


def write_rows(manifest: Path, rows: Sequence[tuple[str, int]]) -> Path:
    """Write a CSV file that names images and their labels."""
    with manifest.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label_index"])
        writer.writerows(rows)
    return manifest


def write_colour_table(
    folder: Path,
    table: str,
    shard: str,
    colours: NDArray[np.uint8],
    labels: Sequence[int] | NDArray[np.int64],
    splits: Sequence[str],
    names: Sequence[str] | None = None,
) -> Path:
    """Write a shard of `images` or `versions` that holds plain images; every second one is called a foggy version."""
    with open_writer(shard_file(folder, table, shard), IMAGES, f"{table} {shard}") as writer:
        for index, (colour, label, split) in enumerate(zip(colours, labels, splits, strict=True)):
            image_id = names[index] if names else f"{shard[:5]}/{index // 2:03d}"
            writer.write(
                {
                    "image_id": image_id,
                    "label": int(label),
                    "distortion": ("pristine", "fog")[index % 2],
                    "severity": index % 2 * 3,
                    "seed": index,
                    "split": split,
                    "image": {"bytes": encode_png(plain_image(colour)), "path": image_id},
                }
            )
    return folder
