"""join_losses: the losses of all workers on one shard, in one table."""

from collections.abc import Sequence
from pathlib import Path

from metrifier_core.data.records import (
    LOSSES,
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
    """Puts the workers' tables one after the other.

    Args:
        parts: What `worker_evaluate` wrote for one shard, a folder for workers that shared a task.
        output: Folder for `losses-SHARD.parquet`.

    Returns:
        shard and rows.
    """
    sources = [only_table(part, "losses") for part in parts]
    (shard,) = {shard_of(source) for source in sources}
    identity = fingerprint("join_losses", {}, [str(read_fingerprint(source)) for source in sources])
    rows = 0
    with open_writer(shard_file(output, "losses", shard), LOSSES, identity) as writer:
        for source in sources:
            for row in read_rows(source):
                writer.write(row)
                rows += 1
    return {"shard": shard, "rows": rows}
