"""distort: the versions of one shard of source images, stored without loss."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metrifier_core.distortions import (
    PRISTINE,
    DistortionSettings,
    choose_versions,
    encode_version,
    version_seed,
)
from metrifier_core.images import decode_image
from metrifier_core.parallel import parallel_map
from metrifier_core.progress import progress
from metrifier_core.records import (
    IMAGES,
    count_rows,
    fingerprint,
    open_writer,
    read_fingerprint,
    read_rows,
    shard_file,
)
from metrifier_core.splits import VERSION_SPLITS
from metrifier_core.stages.running import Summary, stage

__all__ = ["distort"]


@stage
def distort(distortions: Mapping[str, Any], seed: int, images: Path, shard: str, output: Path) -> Summary:
    """Makes the versions of one shard.

    Args:
        distortions: The config's `distortions`.
        seed: The config's seed.
        images: What `download` wrote.
        shard: Name of the shard.
        output: Folder for `versions-SHARD.parquet`.

    Returns:
        shard and versions (how many).
    """
    settings = DistortionSettings.model_validate(distortions)
    source = shard_file(images, "images", shard)
    identity = fingerprint("distort", {**settings.model_dump(), "seed": seed}, [str(read_fingerprint(source))])

    def make(row: dict[str, Any]) -> list[dict[str, Any]]:
        """Makes all versions of one source image from one decoding."""
        data, image_id = row["image"]["bytes"], row["image_id"]
        image = decode_image(data)
        made = []
        for distortion, severity in choose_versions(image_id, row["split"], settings, seed):
            own_seed = version_seed(seed, image_id, distortion)
            pristine = distortion == PRISTINE
            encoded = data if pristine else encode_version(image, distortion, severity, own_seed)
            version = {"distortion": distortion, "severity": severity, "seed": own_seed}
            made.append({**row, **version, "image": {"bytes": encoded, "path": row["image"]["path"]}})
        return made

    versions = 0
    with open_writer(shard_file(output, "versions", shard), IMAGES, identity) as writer:
        done = parallel_map(make, read_rows(source, splits=VERSION_SPLITS))
        for made in progress(done, f"distort {shard}", total=count_rows(source, VERSION_SPLITS), unit="image"):
            for version in made:
                writer.write(version)
                versions += 1
    return {"shard": shard, "versions": versions}
