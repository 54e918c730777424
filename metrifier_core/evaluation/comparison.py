"""Which of two metrifiers ranks the same test versions better for held-out workers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from metrifier_core.data.dataset import QualityDataset
from metrifier_core.execution.parallel import parallel_map
from metrifier_core.execution.progress import progress
from metrifier_core.images import RgbImage, decode_version
from metrifier_core.statistics import PairedDifference, ScoredRows, paired_differences

_VERSION = ["image_id", "distortion", "severity", "seed"]


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """The test versions of a run as its metrifier and its held-out workers judge them, N rows and W workers.

    Attributes:
        versions: Keys of the versions.
        predicted, quality: The metrifier's scores and the label, (N,).
        unseen: Whether no training has seen the distortion, (N,).
        tcp, right: The held-out workers' true-class probabilities, and whether their answers are right, (W, N).
    """

    versions: pa.Table = field(repr=False)
    predicted: NDArray[np.float64]
    quality: NDArray[np.float64]
    unseen: NDArray[np.bool_]
    tcp: NDArray[np.float64]
    right: NDArray[np.bool_]

    def is_judged_like(self, other: "JudgedRows") -> bool:
        """Return whether the other rows are the same versions with the same answers of the held-out workers."""
        return self.versions.equals(other.versions) and np.array_equal(self.tcp, other.tcp)


class ComparedVersions(BaseModel):
    """Two metrifiers on so many versions of so many source images: metric -> both values and their difference."""

    model_config = ConfigDict(frozen=True)

    rows: int
    sources: int
    metrics: dict[str, PairedDifference]


def read_judged_rows(predictions: Path) -> JudgedRows:
    """Read the `predictions.parquet` of a run.

    Raises:
        ValueError: The table is missing, or an earlier release wrote it without the held-out workers' answers.
    """
    if not predictions.is_file():
        raise ValueError(f"{predictions} is missing: expected the folder of a finished run")
    if "held_out_tcp" not in pq.read_schema(predictions).names:
        raise ValueError(f"{predictions} has no column 'held_out_tcp': it was made by an earlier release; run it again")
    table = pq.read_table(predictions)

    def matrix(name: str) -> NDArray[Any]:
        return np.array(table[name].to_pylist()).T

    return JudgedRows(
        versions=table.select(_VERSION).replace_schema_metadata(),
        predicted=table["predicted"].to_numpy(),
        quality=table["quality"].to_numpy(),
        unseen=table["unseen"].to_numpy(),
        tcp=matrix("held_out_tcp"),
        right=matrix("held_out_right"),
    )


def score_rows(
    score: Callable[[RgbImage], float], rows: JudgedRows, versions: Sequence[Path], quality: Path
) -> NDArray[np.float64]:
    """Score the test versions of a run with another metrifier, from the run's shards and `quality.parquet`.

    Returns:
        Scores in the order of the rows, (N,).

    Raises:
        ValueError: A file is missing, or the shards hold other versions.
    """
    for file in (quality, *versions):
        if not file.is_file():
            raise ValueError(f"{file} is missing: scoring needs the folder of a whole run")
    dataset = QualityDataset(versions, quality)
    scored = parallel_map(
        lambda row: ({key: row[key] for key in _VERSION}, score(decode_version(row["image"]["bytes"]))),
        dataset.iterate("test"),
    )
    shown = list(progress(scored, "score test versions", total=dataset.count("test"), unit="version"))
    if not pa.Table.from_pylist([keys for keys, _ in shown], schema=rows.versions.schema).equals(rows.versions):
        raise ValueError(f"{quality} and its versions are not those that the run was judged on")
    return np.array([value for _, value in shown])


def compare_scores(
    rows: JudgedRows, first: NDArray[np.float64], second: NDArray[np.float64], *, replicates: int, seed: int
) -> dict[str, ComparedVersions | None]:
    """Compare two metrifiers by their scores of the test versions, (N,).

    Returns:
        The comparison on distortions `seen` in training and on those `unseen`; None without any.
    """
    workers = [str(worker) for worker in range(len(rows.tcp))]
    image_id = rows.versions["image_id"].to_numpy()
    names = zip(rows.versions["distortion"].to_pylist(), rows.versions["severity"].to_pylist(), strict=True)
    condition = np.array([f"{distortion} {severity}" for distortion, severity in names])

    def compare(keep: NDArray[np.bool_]) -> ComparedVersions | None:
        if not keep.any():
            return None
        tcp, right = (dict(zip(workers, columns[:, keep], strict=True)) for columns in (rows.tcp, rows.right))
        scores = {"first": first[keep], "second": second[keep]}
        scored = ScoredRows(scores, tcp, right, rows.quality[keep], image_id[keep], condition[keep])
        metrics = paired_differences(scored, replicates=replicates, seed=seed)
        return ComparedVersions(rows=int(keep.sum()), sources=scored.images, metrics=metrics)

    return {"seen": compare(~rows.unseen), "unseen": compare(rows.unseen)}
