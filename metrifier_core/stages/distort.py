"""distort: make the versions of one shard of source images, stored without loss."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from metrifier_core.data.records import (
    IMAGES,
    REJECTED,
    count_rows,
    fingerprint,
    open_writer,
    read_fingerprint,
    read_rows,
    shard_file,
    shard_of,
)
from metrifier_core.data.splits import VERSION_SPLITS
from metrifier_core.distortions import PRISTINE, DistortionSettings, choose_versions, encode_versions, version_seed
from metrifier_core.execution.parallel import parallel_map
from metrifier_core.execution.progress import progress
from metrifier_core.images import ImageError, RgbImage, decode_image
from metrifier_core.stages.running import Summary, stage


class _Task(NamedTuple):
    """The severities of one distortion of one source image, which share its random field."""

    row: dict[str, Any]
    image: RgbImage
    distortion: str
    severities: list[int]


@stage
def distort(distortions: Mapping[str, Any], seed: int, images: Path, output: Path) -> Summary:
    """Make the versions of one shard.

    Args:
        distortions: The config's `distortions`.
        seed: The config's seed.
        images: A shard that `download` wrote, a file.
        output: Folder for `versions-SHARD.parquet`, and for `rejected-SHARD.parquet` if a distortion refused an
            image, such as one that is too large for its format.

    Returns:
        shard, versions and rejected (counts).
    """
    settings = DistortionSettings.model_validate(distortions)
    shard = shard_of(images)
    identity = fingerprint("distort", {**settings.model_dump(), "seed": seed}, [str(read_fingerprint(images))])

    def tasks() -> Iterator[_Task]:
        rows = read_rows(images, splits=VERSION_SPLITS)
        total = count_rows(images, VERSION_SPLITS)
        for row in progress(rows, f"distort {shard}", total=total, unit="image"):
            image = decode_image(row["image"]["bytes"])
            chosen = choose_versions(row["image_id"], row["split"], settings, seed)
            for distortion, group in groupby(chosen, key=itemgetter(0)):
                yield _Task(row, image, distortion, [severity for _, severity in group])

    # All versions of a large photograph would not fit into memory: a task makes those of one distortion.
    def make(task: _Task) -> list[dict[str, Any]] | dict[str, str]:
        image_id, stored = task.row["image_id"], task.row["image"]
        own_seed = version_seed(seed, image_id, task.distortion)
        try:
            if task.distortion == PRISTINE:
                encoded = [stored["bytes"]]
            else:
                levels = settings.levels[task.distortion]
                encoded = encode_versions(task.image, task.distortion, task.severities, own_seed, levels=levels)
        except ImageError as error:
            return {"path": image_id, "reason": f"{task.distortion}: {error}"}
        keys = {"distortion": task.distortion, "seed": own_seed}
        return [
            {**task.row, **keys, "severity": severity, "image": {"bytes": data, "path": stored["path"]}}
            for severity, data in zip(task.severities, encoded, strict=True)
        ]

    rejected = []
    table = shard_file(output, "versions", shard)
    with open_writer(table, IMAGES, identity) as writer:
        for made in parallel_map(make, tasks()):
            if isinstance(made, dict):
                rejected.append(made)
                continue
            for version in made:
                writer.write(version)
    if rejected:
        with open_writer(shard_file(output, "rejected", shard), REJECTED, identity) as writer:
            for row in rejected:
                writer.write(row)
    return {"shard": shard, "versions": count_rows(table), "rejected": len(rejected)}
