"""distort: the versions of one shard of source images, stored without loss."""

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
from metrifier_core.distortions import (
    PRISTINE,
    DistortionSettings,
    choose_versions,
    encode_versions,
    version_seed,
)
from metrifier_core.execution.parallel import parallel_map
from metrifier_core.execution.progress import progress
from metrifier_core.images import ImageError, RgbImage, decode_image
from metrifier_core.stages.running import Summary, stage


class _Task(NamedTuple):
    """The severities of one distortion of one source image: they share its random field."""

    row: dict[str, Any]
    image: RgbImage
    distortion: str
    severities: list[int]


class _Made(NamedTuple):
    versions: list[dict[str, Any]]
    refusal: dict[str, str] | None


@stage
def distort(distortions: Mapping[str, Any], seed: int, images: Path, output: Path) -> Summary:
    """Makes the versions of one shard.

    Args:
        distortions: The config's `distortions`.
        seed: The config's seed.
        images: One of the shards that `download` wrote, a file.
        output: Folder for `versions-SHARD.parquet`, and for `rejected-SHARD.parquet` where a distortion refused an
            image, such as one larger than its format holds.

    Returns:
        shard, versions and rejected (how many).
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

    # A task is a few versions, not all of a source image: of large photographs these would not fit into memory.
    def make(task: _Task) -> _Made:
        image_id, stored = task.row["image_id"], task.row["image"]
        own_seed = version_seed(seed, image_id, task.distortion)
        try:
            if task.distortion == PRISTINE:
                encoded = [stored["bytes"]]
            else:
                levels = settings.levels[task.distortion]
                encoded = encode_versions(task.image, task.distortion, task.severities, own_seed, levels=levels)
        except ImageError as error:
            return _Made([], {"path": image_id, "reason": f"{task.distortion}: {error}"})
        keys = {"distortion": task.distortion, "seed": own_seed}
        return _Made(
            [
                {**task.row, **keys, "severity": severity, "image": {"bytes": data, "path": stored["path"]}}
                for severity, data in zip(task.severities, encoded, strict=True)
            ],
            None,
        )

    versions = 0
    rejected = []
    with open_writer(shard_file(output, "versions", shard), IMAGES, identity) as writer:
        for made in parallel_map(make, tasks()):
            if made.refusal is not None:
                rejected.append(made.refusal)
            for version in made.versions:
                writer.write(version)
                versions += 1
    if rejected:
        with open_writer(shard_file(output, "rejected", shard), REJECTED, identity) as writer:
            for refusal in rejected:
                writer.write(refusal)
    return {"shard": shard, "versions": versions, "rejected": len(rejected)}
