"""Shards of source images for benchmarks, made from a folder of photographs."""

from itertools import islice
from pathlib import Path

import numpy as np

from metrifier_core.data.records import IMAGES, open_writer, shard_file, shard_name
from metrifier_core.distortions import PRISTINE
from metrifier_core.images import ImageError, decode_image, normalise_image, read_bytes
from metrifier_core.sources import list_files

SHARD = shard_name(0, 1)


def write_sources(files: list[Path], count: int, folder: Path) -> None:
    """Write `count` source images as `download` would, from the files over and over."""
    with open_writer(shard_file(folder, "images", SHARD), IMAGES, "benchmark") as writer:
        for index in range(count):
            image_id = f"{index}-{files[index % len(files)].name}"
            data = normalise_image(read_bytes(files[index % len(files)]))[0]
            keys = {"image_id": image_id, "label": 0, "distortion": PRISTINE, "severity": 0, "seed": 0}
            writer.write({**keys, "split": "test", "image": {"bytes": data, "path": image_id}})


def usable_files(folder: Path, count: int, rng: np.random.Generator) -> list[Path]:
    """Return some images below a folder, in random order, that can be decoded."""

    def decodes(path: Path) -> bool:
        try:
            return bool(decode_image(read_bytes(path)).size)
        except ImageError:
            return False

    files = list_files(folder)
    return list(islice((files[index] for index in rng.permutation(len(files)) if decodes(files[index])), count))
