"""A config that runs the whole pipeline on photographs of colours, with ONNX classifiers that need no training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from metrifier_core.distortions import apply_distortion
from tests.helpers.colour_workers import COLOURS, draw_colours, make_entry, write_colour_classifier

LABEL, HELD_OUT = ("first", "second"), "judge"
FAMILIES = ("first family", "second family")


def write_photos(folder: Path, count: int, dark: int, seed: int) -> None:
    """Write textured JPEG images of 40 x 48 pixels, a folder per class; the first `dark` are taken in the dark."""
    rng = np.random.default_rng(seed)
    for index, (colour, label) in enumerate(zip(*draw_colours(count, noise=15, seed=seed), strict=True)):
        pixels = np.clip(colour + rng.normal(0, 12, (40, 48, 3)), 0, 255).astype(np.uint8)
        if index < dark:
            pixels = apply_distortion(pixels, "low_light", 4, rng)
        path = folder / f"colour {label}" / f"{index:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=95)


def vary_colours(rng: np.random.Generator) -> Any:
    """Return the colours that a classifier takes for those of the classes, each a little off."""
    return COLOURS + rng.normal(0, 8, COLOURS.shape)


def write_colour_run(folder: Path, photos: int = 240) -> Path:
    """Write photographs, three classifiers and the config of a small run on them.

    Args:
        folder: Where everything goes.
        photos: How many source images.

    Returns:
        The config; its run is named `colours` and has two label workers of one family each.
    """
    write_photos(folder / "photos", photos, dark=0, seed=0)
    rng = np.random.default_rng(0)
    names = (*LABEL, HELD_OUT)
    catalogue = {
        name: make_entry(
            write_colour_classifier(folder / f"{name}.onnx", colours=vary_colours(rng)), family=f"{name} family"
        )
        for name in names
    }
    config = {
        "name": "colours",
        "seed": 3,
        "shards": 2,
        "source": {"kind": "folder", "root": str(folder / "photos")},
        "splits": [{"calibration": 0.15, "train": 0.4, "validation": 0.1, "test": 0.35}],
        "distortions": {
            "types": ["low_light", "gaussian_noise", "jpeg"],
            "held_out": ["pixelate"],
            "severities": [1, 3, 5],
            "versions_per_source": 5,
        },
        "workers": {"catalogue": catalogue, "label": list(LABEL), "held_out": [HELD_OUT]},
        "metrifier": {"crop": 32, "batch_size": 32, "epochs": 1, "flip": False},
        "evaluation": {"bootstrap_replicates": 50},
    }
    path = folder / "colours.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(config))))
    return path
