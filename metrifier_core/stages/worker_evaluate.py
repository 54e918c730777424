"""worker_evaluate: run workers on the versions of one shard."""

from collections.abc import Sequence
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from metrifier_core.data.records import (
    KEYS,
    LOSSES,
    count_rows,
    fingerprint,
    only_table,
    open_writer,
    read_fingerprint,
    read_rows,
    shard_file,
    shard_of,
)
from metrifier_core.execution.parallel import batched, parallel_map
from metrifier_core.execution.progress import progress
from metrifier_core.images import decode_version
from metrifier_core.stages.running import Summary, stage
from metrifier_core.workers import Worker, WorkerCard, load_worker
from metrifier_core.workers.losses import WorkerLosses, compute_losses
from metrifier_core.workers.preprocessing import take_square

_MIN_BATCH = 16  # versions per task of a thread

Row = dict[str, Any]


def _evaluate(workers: Sequence[tuple[Worker, WorkerCard]], versions: Sequence[Row]) -> list[list[Row]]:
    """Run workers on some versions; return, for each version, a row per worker that may see it."""
    images = [decode_version(version["image"]["bytes"]) for version in versions]
    # Resizing dominates preprocessing: workers of one geometry share it.
    square = cache(lambda place, geometry: take_square(images[place], geometry))
    rows: list[list[Row]] = [[] for _ in versions]
    for worker, card in workers:
        seen = [place for place, row in enumerate(versions) if card.role == "label" or row["split"] == "test"]
        if not seen:
            continue
        squares = [square(place, worker.interface.geometry) for place in seen]
        losses = compute_losses(worker, squares, [versions[place]["label"] for place in seen])
        _check_finite(losses, card.name, [versions[place] for place in seen])
        for index, place in enumerate(seen):
            keys = {key: versions[place][key] for key in KEYS}
            values = {name: column[index].item() for name, column in vars(losses).items()}
            rows[place].append({**keys, "worker": card.name, **values})
    return rows


def _check_finite(losses: WorkerLosses, name: str, versions: Sequence[Row]) -> None:
    """Raise if a worker returns non-finite values, such as a 16-bit network that overflows."""
    finite = np.isfinite(losses.cross_entropy)
    if not finite.all():
        version = versions[int(np.argmin(finite))]
        which = f"{version['distortion']} {version['severity']} of {version['image_id']}"
        raise ValueError(f"workers.catalogue.{name}: the network returns NaN or infinity on {which}")


@stage
def worker_evaluate(workers: Path, names: Sequence[str], versions: Path, output: Path) -> Summary:
    """Run workers on the versions of one shard; held-out workers see test versions only.

    Every version is decoded once, whatever the number of workers.

    Args:
        workers: Output of `prepare_workers`.
        names: Names of the workers.
        versions: Output of `distort` for one shard.
        output: Folder for `losses-SHARD.parquet`.

    Returns:
        shard, workers, versions (number decoded) and losses (number of rows written).
    """
    loaded = [load_worker(workers, name) for name in names]
    source = only_table(versions, "versions")
    shard = shard_of(source)
    identities = [str(read_fingerprint(source)), *(card.fingerprint for _, card in loaded)]
    identity = fingerprint("worker_evaluate", {"workers": list(names)}, identities)
    splits = ["test"] if all(card.role == "held-out" for _, card in loaded) else None
    batch = max(_MIN_BATCH, *(worker.batch_size for worker, _ in loaded))

    total = count_rows(source, splits)
    written = 0
    with open_writer(shard_file(output, "losses", shard), LOSSES, identity) as writer:
        # One thread per core decodes, preprocesses and runs the workers.
        batches = parallel_map(partial(_evaluate, loaded), batched(read_rows(source, splits=splits), batch))
        judged = chain.from_iterable(batches)
        for rows in progress(judged, f"{', '.join(names)} {shard}", total=total, unit="version"):
            for row in rows:
                writer.write(row)
            written += len(rows)
    return {"shard": shard, "workers": ", ".join(names), "versions": total, "losses": written}
