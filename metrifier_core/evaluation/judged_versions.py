"""The test versions of a run with every predictor's scores and every worker's answers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from metrifier_core.data.dataset import QualityDataset
from metrifier_core.data.records import KEYS, QUALITY, read_rows, tables
from metrifier_core.distortions import PRISTINE
from metrifier_core.execution.parallel import batched, parallel_map
from metrifier_core.execution.progress import progress
from metrifier_core.images import RgbImage, decode_version
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

_MAX_FITTED = 5000  # training versions that the trees learn from
_VERSIONS_PER_BATCH = 512  # converted to columns at a time: as Python objects they take several times the memory

_VERSION = ["image_id", "distortion", "severity"]
_KEPT = pa.schema([QUALITY.field(name) for name in (*KEYS, "quality")])

Row = dict[str, Any]


class _Judgement(NamedTuple):
    """One version with the scores of the metrifier and of four baselines, and its BRISQUE features."""

    row: Row
    scores: tuple[float, float, float, float, float]
    features: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JudgedVersions:
    """The test versions in the order of their shards, N rows.

    Attributes:
        versions: Keys and `quality` of the versions.
        predicted: The metrifier's scores, (N,).
        baselines: Baseline -> scores, (N,), in the order of `BASELINES`; NaN where undefined.
        tcp, right: Worker -> true-class probabilities and whether its answer is right, (N,), of all workers.
    """

    versions: pa.Table = field(repr=False)
    predicted: NDArray[np.float64]
    baselines: dict[str, NDArray[np.float64]] = field(repr=False)
    tcp: dict[str, NDArray[np.float64]] = field(repr=False)
    right: dict[str, NDArray[np.bool_]] = field(repr=False)

    def column(self, name: str) -> NDArray[Any]:
        """Return one column of the versions, (N,)."""
        return np.array(self.versions[name].to_pylist())


def judge_versions(
    score: Callable[[RgbImage], float],
    dataset: QualityDataset,
    quality: Path,
    losses: Sequence[Path],
    cards: Sequence[WorkerCard],
    seed: int,
) -> JudgedVersions:
    """Score every test version with the metrifier and the baselines, and read the workers' answers.

    Memory holds a few images and the columns of numbers.

    Args:
        score: The metrifier.
        dataset: ImageNet_Quality.
        quality: Its table.
        losses: What `join_losses` wrote, one folder per shard.
        cards: Cards of all workers.
        seed: Seed of the sample that the trees learn from.

    Raises:
        ValueError: A worker did not judge these versions.
    """
    trees, oracle = _fit_trees(dataset, seed), _fit_severity_oracle(quality)

    def judge(item: tuple[Row, RgbImage | None]) -> _Judgement:
        row, reference = item
        compared = (np.nan, np.nan)
        if reference is None:
            image = decode_version(row["image"]["bytes"])
        else:
            image = reference if row["distortion"] == PRISTINE else decode_version(row["image"]["bytes"])
            compared = peak_signal_to_noise(image, reference), structural_similarity(image, reference)
        kept = {name: row[name] for name in _KEPT.names}
        scores = (score(image), laplacian_variance(image), jpeg_size(image), *compared)
        return _Judgement(kept, scores, brisque_features(image))

    judged = parallel_map(judge, _with_references(dataset.iterate("test")))
    shown = progress(judged, "score test versions", total=dataset.count("test"), unit="version")
    versions, (predicted, laplacian, size, psnr, ssim, by_trees) = _in_columns(shown, trees)
    answers = {card.name: _read_answers(losses, card.name, versions) for card in cards}
    conditions = zip(versions["distortion"].to_pylist(), versions["severity"].to_pylist(), strict=True)
    label_workers = sorted((card for card in cards if card.role == "label"), key=lambda card: card.name)
    confidence = {card.name: answers[card.name]["max_softmax"].to_numpy() for card in label_workers}
    most_accurate = max(label_workers, key=lambda card: card.clean_accuracy)
    return JudgedVersions(
        versions=versions,
        predicted=predicted,
        baselines={
            "laplacian_variance": laplacian,
            "jpeg_size": size,
            "brisque_trees": by_trees,
            "psnr": psnr,
            "ssim": ssim,
            "severity_oracle": np.array([oracle.predict(*condition) for condition in conditions]),
            "single_confidence": confidence[most_accurate.name],
            "label_confidence": np.mean(list(confidence.values()), axis=0),
        },
        tcp={name: table["tcp"].to_numpy() for name, table in answers.items()},
        right={name: table["correct"].to_numpy() for name, table in answers.items()},
    )


def _with_references(rows: Iterator[Row]) -> Iterator[tuple[Row, RgbImage | None]]:
    """Yield each version with the decoded pristine image of its source image, None where there is none.

    The versions of a source image are adjacent, and `distort` writes the pristine one first: only versions before it
    have to wait.
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


def _in_columns(judged: Iterable[_Judgement], trees: BrisqueTrees) -> tuple[pa.Table, NDArray[np.float64]]:
    """Return the versions as a table and their scores, (6, N), the trees' last."""
    versions, scores = [], []
    for batch in batched(judged, _VERSIONS_PER_BATCH):
        versions.append(pa.RecordBatch.from_pylist([judgement.row for judgement in batch], schema=_KEPT))
        by_trees = trees.predict(np.array([judgement.features for judgement in batch]))
        scores.append(np.column_stack([np.array([judgement.scores for judgement in batch]), by_trees]))
    return pa.Table.from_batches(versions, _KEPT), np.concatenate(scores).T


def _fit_trees(dataset: QualityDataset, seed: int) -> BrisqueTrees:
    """Fit the trees to a sample of the training versions."""
    chosen = draw_evenly(dataset.count("train"), _MAX_FITTED, np.random.default_rng(seed))

    def describe(row: Row) -> tuple[NDArray[np.float64], float]:
        return brisque_features(decode_version(row["image"]["bytes"])), row["quality"]

    sample = parallel_map(describe, dataset.pick("train", chosen))
    features, quality = zip(*progress(sample, "fit trees", total=len(chosen), unit="version"), strict=True)
    return BrisqueTrees(np.array(features), np.array(quality), seed)


def draw_evenly(count: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw min(count, most) different indices below `count` at random, ascending, one from each of equal intervals."""
    edges = np.linspace(0, count, min(count, most) + 1).astype(np.int64)
    return rng.integers(edges[:-1], edges[1:])


def _fit_severity_oracle(quality: Path) -> SeverityOracle:
    """Fit the oracle to the training versions."""
    oracle = SeverityOracle()
    for row in read_rows(quality, ["distortion", "severity", "quality"], splits=["train"]):
        oracle.learn(row["distortion"], row["severity"], row["quality"])
    return oracle


def _read_answers(losses: Sequence[Path], worker: str, versions: pa.Table) -> pa.Table:
    """Read a worker's `tcp`, `correct` and `max_softmax` of the test versions, in their order."""
    keys = versions.select(_VERSION)
    chosen = (pc.field("split") == "test") & (pc.field("worker") == worker)
    columns = [*_VERSION, "tcp", "correct", "max_softmax"]
    table = pa.concat_tables(
        pq.read_table(path, columns=columns, filters=chosen) for path in tables(list(losses), "losses")
    )
    if not table.select(_VERSION).cast(keys.schema).equals(keys):
        raise ValueError(f"'{worker}' did not judge the test versions that the metrifier scored")
    return table
