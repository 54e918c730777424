"""merge_dataset: ImageNet_Quality, the label workers' mean true-class probability of every version."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metrifier_core.quality import mean_quality
from metrifier_core.records import (
    KEYS,
    QUALITY,
    count_rows,
    fingerprint,
    open_writer,
    read_fingerprint,
    read_rows,
)
from metrifier_core.stages.running import Summary, stage, tables
from metrifier_core.workers import file_sha256, read_cards

__all__ = ["merge_dataset"]


def _merge_shard(path: Path, label_workers: Sequence[str]) -> pa.Table:
    """Joins the label workers' losses of one shard, which all stand in the order of its versions."""
    losses = pq.read_table(path)
    by_worker = {name: losses.filter(pc.equal(losses["worker"], name)) for name in label_workers}
    keys = by_worker[label_workers[0]].select(list(KEYS))
    for name, table in by_worker.items():
        if not table.select(list(KEYS)).equals(keys):
            raise ValueError(f"{path}: '{name}' did not judge the same versions as '{label_workers[0]}'")
    tcp = np.stack([table["tcp"].to_numpy() for table in by_worker.values()])
    return keys.append_column("quality", pa.array(mean_quality(tcp)))


@stage
def merge_dataset(images: Path, workers: Path, losses: Sequence[Path], output: Path) -> Summary:
    """Makes the table of versions with their quality, and its card.

    Args:
        images: What `download` wrote, for the counts of the card.
        workers: What `prepare_workers` wrote; its cards say who the label workers are.
        losses: What `join_losses` wrote, a folder a shard.
        output: Folder for `quality.parquet` and `dataset.json`.

    Returns:
        rows, sources, mean quality and the SHA-256 of the table.
    """
    # A fixed order, since the order of a sum shows in its last digit.
    label_workers = sorted(card.name for card in read_cards(workers) if card.role == "label")
    sources = tables(list(losses), "losses")
    inputs = [str(read_fingerprint(path)) for path in sources]
    identity = fingerprint("merge_dataset", {"label_workers": label_workers}, inputs)
    quality_file = output / "quality.parquet"
    images_by_split: Counter[str] = Counter()
    conditions: defaultdict[str, list[float]] = defaultdict(lambda: [0, 0.0])
    with open_writer(quality_file, QUALITY, identity) as writer:
        for path in sources:
            for row in _merge_shard(path, label_workers).to_pylist():
                writer.write(row)
                images_by_split[row["split"]] += row["severity"] == 0
                condition = conditions[f"{row['distortion']} {row['severity']}"]
                condition[0] += 1
                condition[1] += row["quality"]
    accepted = sum(count_rows(path) for path in tables([images], "images"))
    rejected = list(read_rows(images / "rejected.parquet"))
    rows = count_rows(quality_file)
    card: dict[str, Any] = {
        "read": accepted + len(rejected),
        "accepted": accepted,
        "rejected": len(rejected),
        "versions": rows,
        "splits": dict(sorted(images_by_split.items())),
        "label_workers": label_workers,
        "mean_quality": {name: total / count for name, (count, total) in sorted(conditions.items())},
        "sha256": file_sha256(quality_file),
    }
    (output / "dataset.json").write_text(json.dumps(card, indent=2) + "\n")
    mean = sum(total for _, total in conditions.values()) / rows
    return {"rows": rows, "sources": images_by_split.total(), "mean_quality": mean, "sha256": card["sha256"]}
