"""download: images of a source, decoded, assigned to splits and written to shards."""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from metrifier_core.data.records import (
    REJECTED,
    SOURCE_IMAGES,
    count_rows,
    fingerprint,
    open_writer,
    read_fingerprint,
    read_rows,
    shard_file,
    shard_name,
)
from metrifier_core.data.splits import NEEDED_SPLITS, SPLITS, Split, SplitRule, assign_split
from metrifier_core.distortions import PRISTINE, version_seed
from metrifier_core.execution.parallel import parallel_map
from metrifier_core.execution.progress import progress, say
from metrifier_core.images import ImageError
from metrifier_core.ingest.client import IngestDecoder, find_ingest_decoder
from metrifier_core.ingest.routes import DECODERS, normalise_source
from metrifier_core.sources import Source, SourceItem, describe_labels, is_remote, list_items, listing_digest
from metrifier_core.stages.running import Summary, partial_folder, stage

_REJECTED = "rejected.parquet"
_READERS = 16  # threads that wait for remote storage, besides those that decode


@dataclass(frozen=True)
class _Image:
    item: SourceItem
    split: Split
    data: bytes
    decoder: str = ""
    reason: str | None = None  # why it is rejected


def _read(entry: tuple[SourceItem, Split]) -> _Image:
    item, split = entry
    try:
        return _Image(item, split, item.read())
    except ImageError as error:
        return _Image(item, split, b"", reason=str(error))


def _decode(image: _Image, ingest: IngestDecoder | None) -> _Image:
    if image.reason is not None:
        return image
    try:
        data, decoder = normalise_source(image.data, ingest)
    except ImageError as error:
        return replace(image, data=b"", reason=str(error))
    return replace(image, data=data, decoder=decoder)


def _read_and_decode(
    entries: list[tuple[SourceItem, Split]], *, remote: bool, ingest: IngestDecoder | None
) -> Iterator[_Image]:
    """Read and decode images in parallel, and yield them in their order."""
    if remote:
        return parallel_map(lambda image: _decode(image, ingest), parallel_map(_read, entries, _READERS))
    return parallel_map(lambda entry: _decode(_read(entry), ingest), entries)


def _write_shard(images: Iterator[_Image], total: int, folder: Path, shard: str, seed: int, identity: str) -> None:
    """Write a shard's images, then its rejected ones; the second file marks both as complete."""
    rejected = []
    with open_writer(shard_file(folder, "images", shard), SOURCE_IMAGES, identity) as writer:
        for image in progress(images, f"download {shard}", total=total, unit="image"):
            if image.reason is not None:
                rejected.append({"path": image.item.image_id, "reason": image.reason})
                continue
            writer.write(
                {
                    "image_id": image.item.image_id,
                    "label": image.item.label,
                    "distortion": PRISTINE,
                    "severity": 0,
                    "seed": version_seed(seed, image.item.image_id, PRISTINE),
                    "split": image.split,
                    "decoder": image.decoder,
                    "image": {"bytes": image.data, "path": image.item.image_id},
                }
            )
    with open_writer(shard_file(folder, "rejected", shard), REJECTED, identity) as writer:
        for row in rejected:
            writer.write(row)


def _merge_rejected(folder: Path, shards: list[str], faulty: list[SourceItem], identity: str) -> None:
    """Write one file of all rejected images in place of one a shard."""
    with open_writer(folder / _REJECTED, REJECTED, identity) as writer:
        for item in faulty:
            writer.write({"path": item.image_id, "reason": item.fault})
        for shard in shards:
            for row in read_rows(shard_file(folder, "rejected", shard)):
                writer.write(row)
    for shard in shards:
        shard_file(folder, "rejected", shard).unlink()


@stage
def download(
    source: Mapping[str, Any],
    splits: Sequence[Mapping[str, Any]],
    seed: int,
    shards: int,
    output: Path,
    rejected: Path | None = None,
) -> Summary:
    """Read, decode and shard the source images.

    Args:
        source: The config's `source`.
        splits: The config's `splits`.
        seed: The config's seed.
        shards: Number of shards.
        output: Folder for `images-*.parquet` and `rejected.parquet`.
        rejected: Folder for a copy of `rejected.parquet`, for tasks that do not get the images.

    Returns:
        read, accepted, rejected (read = accepted + rejected), the images of each decoder, and the source images of each
        split.

    Raises:
        ValueError: The source does not exist, or a split that the run needs got no images.
        IngestError: An image needs the ingest decoder, which is installed and does not start.
    """
    settings: Source = TypeAdapter[Source](Source).validate_python(source)
    rules = [SplitRule.model_validate(rule) for rule in splits]
    items = list_items(settings)
    if labels := describe_labels(settings, items):
        say(f"source: {labels}")
    ingest = find_ingest_decoder()
    parameters = {
        "source": settings.model_dump(mode="json"),
        "splits": [rule.model_dump() for rule in rules],
        "listing": listing_digest(items),
        "ingest": ingest is not None,  # with it, a killed stage that ran without must start over
        "seed": seed,
        "shards": shards,
    }
    identity = fingerprint("download", parameters)
    faulty = [item for item in items if item.fault is not None]
    chosen = [(item, split) for item in items if not item.fault and (split := assign_split(item.image_id, rules))]

    with ExitStack() as stack:
        if ingest is not None:
            stack.enter_context(ingest)
        folder = stack.enter_context(partial_folder(output, "download", identity))
        names = [shard_name(index, shards) for index in range(shards)]
        for index, shard in enumerate(names):
            if read_fingerprint(shard_file(folder, "rejected", shard)) == identity:
                continue
            # Sorted by split, so that a reader of one split can skip the row groups of the others.
            entries = sorted(chosen[index::shards], key=lambda entry: SPLITS.index(entry[1]))
            images = _read_and_decode(entries, remote=is_remote(settings), ingest=ingest)
            _write_shard(images, len(entries), folder, shard, seed, identity)

        accepted, decoders = Counter[str](), Counter[str]()
        for shard in names:
            for row in read_rows(shard_file(folder, "images", shard), ["split", "decoder"]):
                accepted[row["split"]] += 1
                decoders[row["decoder"]] += 1
        for split in NEEDED_SPLITS:
            if not accepted[split]:
                raise ValueError(f"no usable image for the split '{split}': use more sources or larger splits")
        _merge_rejected(folder, names, faulty, identity)
        rejected_count = count_rows(folder / _REJECTED)

    if rejected is not None:
        rejected.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(output / _REJECTED, rejected / _REJECTED)
    return {
        "read": len(chosen) + len(faulty),
        "accepted": accepted.total(),
        "rejected": rejected_count,
        **{f"decoded_by_{name.replace('-', '_')}": decoders[name] for name in DECODERS},
        **{f"sources_{split}": accepted[split] for split in SPLITS},
    }
