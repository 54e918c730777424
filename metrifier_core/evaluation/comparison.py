"""Two metrifiers on the same test versions: which of them ranks these better for workers that neither has met."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from metrifier_core.data.dataset import QualityDataset
from metrifier_core.execution.parallel import parallel_map
from metrifier_core.execution.progress import progress
from metrifier_core.images import RgbImage, decode_version
from metrifier_core.statistics import paired_differences

_VERSION = ["image_id", "distortion", "severity", "seed"]


@dataclass(frozen=True)
class JudgedRows:
    """The test versions of a run as its metrifier and its held-out workers judge them, N rows and W workers.

    Attributes:
        versions: Which versions they are, a table of their keys.
        predicted: The metrifier's scores, (N,).
        quality: The label, (N,).
        unseen: Whether no training has seen the distortion, (N,).
        tcp: True-class probabilities of the held-out workers, (W, N).
        right: Whether these are right, (W, N).
    """

    versions: pa.Table
    predicted: NDArray[np.float64]
    quality: NDArray[np.float64]
    unseen: NDArray[np.bool_]
    tcp: NDArray[np.float64]
    right: NDArray[np.bool_]

    def is_judged_like(self, other: "JudgedRows") -> bool:
        """Says whether the others are the same versions, judged by workers that gave the same answers."""
        return self.versions.equals(other.versions) and np.array_equal(self.tcp, other.tcp)


def read_judged_rows(predictions: Path) -> JudgedRows:
    """Reads `predictions.parquet` of a run.

    Raises:
        ValueError: There is no such table, or an earlier release made it, without the held-out workers' answers.
    """
    if not predictions.is_file():
        raise ValueError(f"{predictions} is missing: expected the folder of a finished run")
    if "held_out_tcp" not in pq.read_schema(predictions).names:
        raise ValueError(f"{predictions} has no column 'held_out_tcp': it was made by an earlier release; run it again")
    table = pq.read_table(predictions)

    def lists(name: str) -> NDArray[Any]:
        return np.array(table[name].to_pylist()).T

    return JudgedRows(
        versions=table.select(_VERSION).replace_schema_metadata(),
        predicted=table["predicted"].to_numpy(),
        quality=table["quality"].to_numpy(),
        unseen=table["unseen"].to_numpy(),
        tcp=lists("held_out_tcp"),
        right=lists("held_out_right"),
    )


def score_rows(
    score: Callable[[RgbImage], float], rows: JudgedRows, versions: Sequence[Path], quality: Path
) -> NDArray[np.float64]:
    """Scores the test versions of a run with another metrifier.

    Args:
        score: The metrifier.
        rows: What the run made of them.
        versions: The run's shards of versions.
        quality: Its `quality.parquet`.

    Returns:
        (N,) scores, in the order of the rows.

    Raises:
        ValueError: The shards do not hold these versions, or are not there.
    """
    for file in (quality, *versions):
        if not file.is_file():
            raise ValueError(f"{file} is missing: the versions are scored in the folder of a whole run")
    dataset = QualityDataset(versions, quality)
    found = parallel_map(
        lambda row: ({key: row[key] for key in _VERSION}, score(decode_version(row["image"]["bytes"]))),
        dataset.iterate("test"),
    )
    judged = list(progress(found, "score test versions", total=dataset.count("test"), unit="version"))
    own = pa.Table.from_pylist([keys for keys, _ in judged], schema=rows.versions.schema)
    if not own.equals(rows.versions):
        raise ValueError(f"{quality} and its versions are not those that the run was judged on")
    return np.array([value for _, value in judged])


def compare_scores(
    rows: JudgedRows, first: NDArray[np.float64], second: NDArray[np.float64], *, replicates: int, seed: int
) -> dict[str, Any]:
    """Compares two metrifiers by their scores.

    Args:
        rows: The test versions.
        first: Scores of the first metrifier, (N,).
        second: Scores of the second, (N,).
        replicates: Number of bootstrap replicates.
        seed: Of the bootstrap.

    Returns:
        `seen` and `unseen`, by the distortions, None where there are none. Each has `rows`, `sources` and `metrics`: by
        the names of `statistics.PAIRED` `first`, `second`, `difference` (`value`, `low`, `high`) and `better`.
    """
    image_id = rows.versions["image_id"].to_numpy()
    names = zip(rows.versions["distortion"].to_pylist(), rows.versions["severity"].to_pylist(), strict=True)
    condition = np.array([f"{distortion} {severity}" for distortion, severity in names])

    def judge(keep: NDArray[np.bool_]) -> dict[str, Any] | None:
        if not keep.any():
            return None
        differences = paired_differences(
            first[keep],
            second[keep],
            tcp=rows.tcp[:, keep],
            right=rows.right[:, keep],
            quality=rows.quality[keep],
            image_id=image_id[keep],
            condition=condition[keep],
            replicates=replicates,
            seed=seed,
        )
        metrics = {name: asdict(difference) for name, difference in differences.items()}
        return {"rows": int(keep.sum()), "sources": len(np.unique(image_id[keep])), "metrics": metrics}

    return {"seen": judge(~rows.unseen), "unseen": judge(rows.unseen)}
