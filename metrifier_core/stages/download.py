"""download: labelled images from a source, checked, split and put into shards."""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
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
_READERS = 16  # threads that wait for a distant storage, beside those that decode


@dataclass(frozen=True)
class _Image:
    item: SourceItem
    split: Split
    data: bytes
    decoder: str = ""
    reason: str | None = None


def _list_source(source: Source) -> list[SourceItem]:
    items = list_items(source)
    if labels := describe_labels(source, items):
        say(f"source: {labels}")
    return items


def _read(entry: tuple[SourceItem, Split]) -> _Image:
    """Reads one image; whatever is wrong with it becomes a reason."""
    item, split = entry
    try:
        return _Image(item, split, item.read())
    except ImageError as error:
        return _Image(item, split, b"", reason=str(error))


def _decode(image: _Image, ingest: IngestDecoder | None) -> _Image:
    """Decodes one image that has been read; whatever is wrong with it becomes a reason."""
    if image.reason is not None:
        return image
    try:
        data, decoder = normalise_source(image.data, ingest)
    except ImageError as error:
        return replace(image, data=b"", reason=str(error))
    return replace(image, data=data, decoder=decoder)


def _read_and_decode(entry: tuple[SourceItem, Split], ingest: IngestDecoder | None) -> _Image:
    return _decode(_read(entry), ingest)


def _images(entries: list[tuple[SourceItem, Split]], *, remote: bool, ingest: IngestDecoder | None) -> Iterator[_Image]:
    """Reads and decodes images, in their order."""
    if remote:
        return parallel_map(partial(_decode, ingest=ingest), parallel_map(_read, entries, _READERS))
    return parallel_map(partial(_read_and_decode, ingest=ingest), entries)


def _write_shard(images: Iterator[_Image], total: int, folder: Path, shard: str, seed: int, identity: str) -> None:
    """Writes a shard's images and, last, its rejected ones: the second file says that both are complete."""
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


@stage
def download(
    source: Mapping[str, Any],
    splits: Sequence[Mapping[str, Any]],
    seed: int,
    shards: int,
    output: Path,
    rejected: Path | None = None,
) -> Summary:
    """Reads, checks and shards the source images.

    Args:
        source: The config's `source`.
        splits: The config's `splits`.
        seed: The config's seed.
        shards: How many shards to make.
        output: Folder for `images-*.parquet` and `rejected.parquet`.
        rejected: Folder for `rejected.parquet` once more, for tasks that are handed no images.

    Returns:
        read, accepted, rejected (read = accepted + rejected), how many each decoder read, and the source images of each
        split.

    Raises:
        ValueError: The source is not there, or a split that the run needs got no images.
        IngestError: An image needs the ingest decoder, whose environment is there and does not work.
    """
    settings: Source = TypeAdapter[Source](Source).validate_python(source)
    rules = [SplitRule.model_validate(rule) for rule in splits]
    parameters: dict[str, Any] = {
        "source": settings.model_dump(mode="json"),
        "splits": [rule.model_dump() for rule in rules],
    }
    items = _list_source(settings)
    parameters["listing"] = listing_digest(items)
    ingest = find_ingest_decoder()
    # A stage that was killed before the environment was made must not be continued with it.
    parameters["ingest"] = ingest is not None
    identity = fingerprint("download", {**parameters, "seed": seed, "shards": shards})
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
            # Sorted by split, so that a reader of one split passes over the row groups of the others.
            entries = sorted(chosen[index::shards], key=lambda entry: SPLITS.index(entry[1]))
            images = _images(entries, remote=is_remote(settings), ingest=ingest)
            _write_shard(images, len(entries), folder, shard, seed, identity)

        accepted: Counter[str] = Counter()
        decoders: Counter[str] = Counter()
        for shard in names:
            for row in read_rows(shard_file(folder, "images", shard), ["split", "decoder"]):
                accepted[row["split"]] += 1
                decoders[row["decoder"]] += 1
        for split in NEEDED_SPLITS:
            if not accepted[split]:
                raise ValueError(f"no usable image for the split '{split}': use more sources or larger splits")
        with open_writer(folder / _REJECTED, REJECTED, identity) as writer:
            for item in faulty:
                writer.write({"path": item.image_id, "reason": item.fault})
            for shard in names:
                for row in read_rows(shard_file(folder, "rejected", shard)):
                    writer.write(row)
        for shard in names:
            shard_file(folder, "rejected", shard).unlink()
        refused = count_rows(folder / _REJECTED)

    if rejected is not None:
        rejected.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(output / _REJECTED, rejected / _REJECTED)
    return {
        "read": len(chosen) + len(faulty),
        "accepted": accepted.total(),
        "rejected": refused,
        **{f"decoded_by_{name.replace('-', '_')}": decoders[name] for name in DECODERS},
        **{f"sources_{split}": accepted[split] for split in SPLITS},
    }
