"""Small data sets to train on: images whose quality can be seen."""

from pathlib import Path

import numpy as np

from metrifier_core.data.dataset import QualityDataset
from metrifier_core.data.records import IMAGES, QUALITY, open_writer
from metrifier_core.images import encode_png

WORKERS = 3
SIDE = 40
VERSIONS = 6


def write_training_set(folder: Path, sources: int = 24) -> tuple[Path, Path]:
    """Write versions and their quality: noise on coloured ramps, the more of it the worse.

    Args:
        folder: Where to.
        sources: Source images, every eighth of them for calibration and another for validation.

    Returns:
        A folder of versions and one of quality.
    """
    rng = np.random.default_rng(0)
    keys = {"label": 0, "distortion": "gaussian_noise", "seed": 0}
    versions, qualities = (
        folder / "versions" / "versions-00000-of-00001.parquet",
        folder / "quality" / "quality.parquet",
    )
    with open_writer(versions, IMAGES, "versions") as images, open_writer(qualities, QUALITY, "quality") as quality:
        for source in range(sources):
            split = {0: "calibration", 1: "validation"}.get(source % 8, "train")
            ramp = np.linspace(0, rng.uniform(40, 90), SIDE)[:, None, None] + rng.uniform(0, 90, 3)
            for severity in range(VERSIONS):
                row = {**keys, "image_id": f"{source}", "split": split, "severity": severity}
                noisy = ramp + rng.normal(0, 12 * severity, (SIDE, SIDE + 8, 3))
                png = encode_png(np.clip(noisy, 0, 255).round().astype(np.uint8))
                images.write({**row, "image": {"bytes": png, "path": None}})
                tcp = np.clip(0.95 - 0.15 * severity + rng.normal(0, 0.03, WORKERS), 0, 1)
                quality.write({**row, "quality": float(tcp.mean()), "worker_tcp": tcp.tolist()})
    return versions.parent, qualities.parent


def open_training_set(folder: Path, sources: int = 24) -> QualityDataset:
    """Write and open a training set; see `write_training_set`."""
    versions, quality = write_training_set(folder, sources)
    return QualityDataset(sorted(versions.iterdir()), quality / "quality.parquet")
