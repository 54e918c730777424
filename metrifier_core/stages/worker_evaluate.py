"""worker_evaluate: what one worker makes of the versions of one shard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metrifier_core.images import RgbImage, decode_image
from metrifier_core.parallel import batched, parallel_map
from metrifier_core.progress import progress
from metrifier_core.quality import judge
from metrifier_core.records import (
    KEYS,
    LOSSES,
    count_rows,
    fingerprint,
    open_writer,
    read_fingerprint,
    read_rows,
    shard_file,
)
from metrifier_core.stages.running import Summary, only_table, stage
from metrifier_core.workers import load_worker

__all__ = ["worker_evaluate"]

_BATCH = 64


def _decode(row: Mapping[str, Any]) -> tuple[dict[str, Any], RgbImage]:
    return {key: row[key] for key in KEYS}, decode_image(row["image"]["bytes"])


@stage
def worker_evaluate(workers: Path, worker: str, versions: Path, shard: str, output: Path) -> Summary:
    """Runs one worker on the versions of one shard; a held-out worker sees test versions alone.

    Args:
        workers: What `prepare_workers` wrote.
        worker: Name of the worker.
        versions: What `distort` wrote.
        shard: Name of the shard.
        output: Folder for `losses-SHARD.parquet`.

    Returns:
        shard, worker and versions (how many it saw).
    """
    model, card = load_worker(workers, worker)
    source = only_table(versions, "versions")
    identity = fingerprint("worker_evaluate", {"worker": worker}, [card.fingerprint, str(read_fingerprint(source))])
    splits = ["test"] if card.role == "held-out" else None
    total = count_rows(source, splits)
    with open_writer(shard_file(output, "losses", shard), LOSSES, identity) as writer:
        # Decoding runs ahead on other threads while the worker is busy with a batch.
        decoded = parallel_map(_decode, read_rows(source, splits=splits))
        seen = progress(decoded, f"{worker} {shard}", total=total, unit="version")
        for batch in batched(seen, _BATCH):
            labels = np.array([row["label"] for row, _ in batch], np.int64)
            losses = judge(model.logits([image for _, image in batch]), labels, card.temperature)
            for index, (row, _) in enumerate(batch):
                values = {name: column[index].item() for name, column in vars(losses).items()}
                writer.write({**row, "worker": worker, **values})
    return {"shard": shard, "worker": worker, "versions": total}
