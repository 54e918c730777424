"""The test versions of a run with all that is known of them: every predictor's score, every worker's answers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from metrifier_core.dataset import QualityDataset
from metrifier_core.distortions import PRISTINE
from metrifier_core.images import RgbImage, decode_version
from metrifier_core.parallel import parallel_map
from metrifier_core.progress import progress
from metrifier_core.records import KEYS, read_rows
from metrifier_core.stages.running import tables
from metrifier_core.statistics import (
    BrisqueTrees,
    SeverityOracle,
    brisque_features,
    jpeg_size,
    laplacian_variance,
    peak_signal_to_noise,
    structural_similarity,
)
from metrifier_core.workers import WorkerCard

__all__ = ["JudgedVersions", "draw_evenly", "judge_versions"]

_MOST_FITTED = 5000  # training versions that the trees learn from

_VERSION = ["image_id", "distortion", "severity"]

Row = dict[str, Any]


@dataclass(frozen=True)
class JudgedVersions:
    """The test versions in the order of their shards, N rows.

    Attributes:
        rows: The keys and `quality` of each.
        predicted: The metrifier's scores, (N,).
        baselines: Scores of the baselines by name, each (N,), in the order of `BASELINES`; NaN where one is undefined.
        tcp: True-class probabilities of all workers by name, each (N,).
        right: Whether the answer is right, of all workers by name, each (N,).
    """

    rows: list[Row]
    predicted: NDArray[np.float64]
    baselines: dict[str, NDArray[np.float64]]
    tcp: dict[str, NDArray[np.float64]]
    right: dict[str, NDArray[np.bool_]]

    def column(self, name: str) -> NDArray[Any]:
        """Takes one column of the rows, (N,)."""
        return np.array([row[name] for row in self.rows])


def judge_versions(
    score: Callable[[RgbImage], float],
    dataset: QualityDataset,
    quality: Path,
    losses: Sequence[Path],
    cards: Sequence[WorkerCard],
    seed: int,
) -> JudgedVersions:
    """Scores every test version with the metrifier and the baselines, and reads what the workers made of it.

    Args:
        score: The metrifier.
        dataset: ImageNet_Quality.
        quality: Its table.
        losses: What `join_losses` wrote, a folder a shard.
        cards: Of all workers.
        seed: Of the sample that the trees learn from.

    Returns:
        The test versions; memory holds a few images and the columns of numbers.

    Raises:
        ValueError: A worker did not judge these versions.
    """
    trees, oracle = _fit_trees(dataset, seed), _fit_severity_oracle(quality)

    def judge(item: tuple[Row, RgbImage | None]) -> tuple[Row, list[float], NDArray[np.float64]]:
        row, reference = item
        compared = [np.nan, np.nan]
        if reference is None:
            image = decode_version(row["image"]["bytes"])
        else:
            image = reference if row["distortion"] == PRISTINE else decode_version(row["image"]["bytes"])
            compared = [peak_signal_to_noise(image, reference), structural_similarity(image, reference)]
        kept = {key: row[key] for key in (*KEYS, "quality")}
        return kept, [score(image), laplacian_variance(image), jpeg_size(image), *compared], brisque_features(image)

    judged = parallel_map(judge, _with_references(dataset.iterate("test")))
    found = list(progress(judged, "score test versions", total=dataset.count("test"), unit="version"))
    rows = [row for row, _, _ in found]
    predicted, laplacian, size, psnr, ssim = np.array([scores for _, scores, _ in found]).T
    answers = {card.name: _read_answers(losses, card.name, rows) for card in cards}
    label_workers = sorted((card for card in cards if card.role == "label"), key=lambda card: card.name)
    confidence = {card.name: answers[card.name]["max_softmax"].to_numpy() for card in label_workers}
    most_accurate = max(label_workers, key=lambda card: card.clean_accuracy)
    return JudgedVersions(
        rows=rows,
        predicted=predicted,
        baselines={
            "laplacian_variance": laplacian,
            "jpeg_size": size,
            "brisque_trees": trees.predict(np.array([features for _, _, features in found])),
            "psnr": psnr,
            "ssim": ssim,
            "severity_oracle": np.array([oracle.predict(row["distortion"], row["severity"]) for row in rows]),
            "single_confidence": confidence[most_accurate.name],
            "label_confidence": np.mean(list(confidence.values()), axis=0),
        },
        tcp={name: table["tcp"].to_numpy() for name, table in answers.items()},
        right={name: table["correct"].to_numpy() for name, table in answers.items()},
    )


def _with_references(rows: Iterator[Row]) -> Iterator[tuple[Row, RgbImage | None]]:
    """Puts the decoded pristine image beside each version of its source image, None where there is none.

    The versions of a source image stand together. Its pristine one comes first as `distort` writes them, and only what
    stands before it is held back.
    """
    for _, versions in groupby(rows, key=itemgetter("image_id")):
        reference = None
        waiting: list[Row] = []
        for row in versions:
            if row["distortion"] == PRISTINE:
                reference = decode_version(row["image"]["bytes"])
            waiting.append(row)
            if reference is not None:
                yield from ((held, reference) for held in waiting)
                waiting.clear()
        yield from ((held, None) for held in waiting)


def _fit_trees(dataset: QualityDataset, seed: int) -> BrisqueTrees:
    """Fits the trees to a sample of the training versions."""
    chosen = draw_evenly(dataset.count("train"), _MOST_FITTED, np.random.default_rng(seed))

    def features(row: Row) -> tuple[NDArray[np.float64], float]:
        return brisque_features(decode_version(row["image"]["bytes"])), row["quality"]

    sample = dataset.pick("train", chosen)
    found = list(progress(parallel_map(features, sample), "fit trees", total=len(chosen), unit="version"))
    return BrisqueTrees(np.array([own for own, _ in found]), np.array([quality for _, quality in found]), seed)


def draw_evenly(count: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws places at random, one from each of equal stretches.

    Args:
        count: How many places there are.
        most: How many to draw; all where there are no more.
        rng: Source of the draws.

    Returns:
        (min(count, most),) different places from 0 to count - 1, rising.
    """
    edges = np.linspace(0, count, min(count, most) + 1).astype(np.int64)
    return rng.integers(edges[:-1], edges[1:])


def _fit_severity_oracle(quality: Path) -> SeverityOracle:
    """Learns what each type and severity leaves of the quality from the training versions."""
    oracle = SeverityOracle()
    for row in read_rows(quality, ["distortion", "severity", "quality"], splits=["train"]):
        oracle.learn(row["distortion"], row["severity"], row["quality"])
    return oracle


def _read_answers(losses: Sequence[Path], worker: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Reads a worker's `tcp`, `correct` and `max_softmax` of the test versions, in the order of these."""
    keys = pa.Table.from_pylist(list(rows)).select(_VERSION)
    chosen = (pc.field("split") == "test") & (pc.field("worker") == worker)
    columns = [*_VERSION, "tcp", "correct", "max_softmax"]
    table = pa.concat_tables(
        pq.read_table(path, columns=columns, filters=chosen) for path in tables(list(losses), "losses")
    )
    if not table.select(_VERSION).cast(keys.schema).equals(keys):
        raise ValueError(f"'{worker}' did not judge the test versions that the metrifier scored")
    return table
