"""merge_dataset: ImageNet_Quality, the label workers' mean true-class probability of every version."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from metrifier_core.data.dataset_card import DATASET_CARD, DatasetCard
from metrifier_core.data.quality import MergeSettings, RankScale, mean_quality, median_quality
from metrifier_core.data.records import (
    KEYS,
    QUALITY,
    count_rows,
    fingerprint,
    open_table,
    open_writer,
    read_fingerprint,
    tables,
)
from metrifier_core.execution.checksums import file_sha256
from metrifier_core.stages.running import Summary, stage
from metrifier_core.workers import read_cards

_MAX_ROWS = 1024  # in memory at a time

Aggregate = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _read_losses(path: Path, worker: str) -> Iterator[pa.Table]:
    """Read a worker's losses on one shard, `_MAX_ROWS` at a time; after the last come empty tables without end."""
    file = open_table(path)
    columns = [*KEYS, "worker", "tcp"]
    held = file.schema_arrow.empty_table().select(columns)
    for batch in file.iter_batches(_MAX_ROWS, columns=columns):
        losses = batch.filter(pc.equal(batch["worker"], worker))
        held = pa.concat_tables([held, pa.Table.from_batches([losses]).select(columns)])
        if len(held) >= _MAX_ROWS:
            yield held.slice(0, _MAX_ROWS)
            held = held.slice(_MAX_ROWS)
    yield held
    yield from repeat(held.slice(0, 0))


def _read_shard(path: Path, label_workers: Sequence[str]) -> Iterator[tuple[pa.Table, NDArray[np.float64]]]:
    """Yield some versions of a shard at a time and their true-class probabilities, (W, N)."""
    # Each worker's losses are in the order of the versions.
    for losses in zip(*(_read_losses(path, name) for name in label_workers), strict=True):
        keys = losses[0].select(KEYS)
        for name, table in zip(label_workers, losses, strict=True):
            if not table.select(KEYS).equals(keys):
                raise ValueError(f"{path}: '{name}' did not judge the same versions as '{label_workers[0]}'")
        if not len(keys):
            return
        yield keys, np.stack([table["tcp"].to_numpy() for table in losses])


def _choose_aggregate(settings: MergeSettings, sources: Sequence[Path], label_workers: Sequence[str]) -> Aggregate:
    """Return the function from the label workers' probabilities to quality; ranks take a pass over all versions."""
    match settings.quality:
        case "mean":
            return mean_quality
        case "median":
            return median_quality
        case "mean_rank":
            scale = RankScale(len(label_workers))
            for path in sources:
                for _, tcp in _read_shard(path, label_workers):
                    scale.count(tcp)
            return scale.mean_rank


@stage
def merge_dataset(
    merge: Mapping[str, Any], accepted: int, rejected: Path, workers: Path, losses: Sequence[Path], output: Path
) -> Summary:
    """Write the table of versions with their quality, and its card.

    Args:
        merge: The config's `merge`.
        accepted: Number of source images, for the card.
        rejected: Folder of `download`'s `rejected.parquet`, for the card.
        workers: Output of `prepare_workers`, whose cards name the label workers.
        losses: Outputs of `join_losses`, a folder per shard.
        output: Folder for `quality.parquet` and `dataset.json`.

    Returns:
        rows, sources, mean quality and the SHA-256 of the table.
    """
    settings = MergeSettings.model_validate(merge)
    # A fixed order, since the order of a sum shows in its last digit.
    label_workers = sorted(card.name for card in read_cards(workers) if card.role == "label")
    sources = tables(list(losses), "losses")
    inputs = [str(read_fingerprint(path)) for path in sources]
    parameters = {"label_workers": label_workers, **settings.model_dump()}
    identity = fingerprint("merge_dataset", parameters, inputs)
    aggregate = _choose_aggregate(settings, sources, label_workers)
    quality_file = output / "quality.parquet"
    images_by_split: Counter[str] = Counter()
    conditions: defaultdict[str, list[float]] = defaultdict(lambda: [0, 0.0])
    with open_writer(quality_file, QUALITY, identity) as writer:
        for path in sources:
            for keys, tcp in _read_shard(path, label_workers):
                columns = keys.append_column("quality", pa.array(aggregate(tcp)))
                for row, worker_tcp in zip(columns.to_pylist(), tcp.T, strict=True):
                    writer.write({**row, "worker_tcp": worker_tcp.tolist()})
                    images_by_split[row["split"]] += row["severity"] == 0
                    condition = conditions[f"{row['distortion']} {row['severity']}"]
                    condition[0] += 1
                    condition[1] += row["quality"]
    refused = count_rows(rejected / "rejected.parquet")
    rows = count_rows(quality_file)
    card = DatasetCard(
        read=accepted + refused,
        accepted=accepted,
        rejected=refused,
        versions=rows,
        splits=dict(sorted(images_by_split.items())),
        label_workers=tuple(label_workers),
        quality=settings.quality,
        mean_quality={name: total / count for name, (count, total) in sorted(conditions.items())},
        sha256=file_sha256(quality_file),
    )
    (output / DATASET_CARD).write_text(card.model_dump_json(indent=2) + "\n")
    mean = sum(total for _, total in conditions.values()) / rows
    return {"rows": rows, "sources": images_by_split.total(), "mean_quality": mean, "sha256": card.sha256}
