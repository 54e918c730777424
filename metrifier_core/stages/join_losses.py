"""join_losses: the losses of all workers on one shard, in one table."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from metrifier_core.data.records import (
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
from metrifier_core.stages.running import Summary, stage


@stage
def join_losses(parts: Sequence[Path], output: Path) -> Summary:
    """Concatenate the workers' tables.

    Args:
        parts: Outputs of `worker_evaluate` for one shard, a folder per group of workers that shared a task.
        output: Folder for `losses-SHARD.parquet`.

    Returns:
        shard and rows.
    """
    sources = [only_table(part, "losses") for part in parts]
    (shard,) = {shard_of(source) for source in sources}
    identity = fingerprint("join_losses", {}, [str(read_fingerprint(source)) for source in sources])
    table = shard_file(output, "losses", shard)
    with open_writer(table, LOSSES, identity) as writer:
        for row in chain.from_iterable(map(read_rows, sources)):
            writer.write(row)
    return {"shard": shard, "rows": count_rows(table)}
