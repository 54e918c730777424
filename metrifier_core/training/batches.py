"""Training batches, in an order that depends only on the seed and the epoch."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrifier_core.data.dataset import QualityDataset
from metrifier_core.data.views import random_view
from metrifier_core.execution.parallel import batched, parallel_map
from metrifier_core.images import decode_version

_BYTES_SHUFFLED_TOGETHER = 512 << 20  # the more, the better a network gets
_VERSIONS_OF_A_SOURCE = 4  # adjacent, so that a batch has pairs of one source image

Row = dict[str, Any]


class Batch(NamedTuple):
    """Training views and their labels.

    Attributes:
        pixels: (N, S, S, 3) uint8 RGB.
        truth: (N, 2 + W) float32: quality, index of the source image, each label worker's TCP.
    """

    pixels: NDArray[np.uint8]
    truth: NDArray[np.float32]


def _mix(dataset: QualityDataset, groups: Sequence[int], rng: np.random.Generator) -> list[list[Row]]:
    """Read the training versions of some row groups, grouped by source image in fours, in random order."""
    by_source: defaultdict[str, list[Row]] = defaultdict(list)
    for row in chain.from_iterable(dataset.rows(group, "train") for group in groups):
        by_source[row["image_id"]].append(row)
    chunks = [
        [rows[index] for index in order]
        for rows in by_source.values()
        for order in batched(rng.permutation(len(rows)).tolist(), _VERSIONS_OF_A_SOURCE)
    ]
    return [chunks[index] for index in rng.permutation(len(chunks))]


def _windows(dataset: QualityDataset, rng: np.random.Generator) -> Iterator[list[int]]:
    """Yield the row groups in random order, as many at a time as memory may hold."""
    window: list[int] = []
    held = 0
    for group in rng.permutation(len(dataset)).tolist():
        if window and held + dataset.size(group) > _BYTES_SHUFFLED_TOGETHER:
            yield window
            window, held = [], 0
        window.append(group)
        held += dataset.size(group)
    yield window


def _shuffled(dataset: QualityDataset, rng: np.random.Generator) -> Iterator[Row]:
    """Yield the training versions once, shuffled."""
    for groups in _windows(dataset, rng):
        mixed = _mix(dataset, groups, rng)[::-1]
        while mixed:  # free each chunk as soon as it is used
            yield from mixed.pop()


def training_batches(
    dataset: QualityDataset, *, size: int, crop: int, flip: bool, rng: np.random.Generator, skip: int = 0
) -> Iterator[Batch]:
    """Yield the whole batches of one epoch; images are decoded ahead of the training step.

    Args:
        dataset: Versions and their quality.
        size: Versions per batch.
        crop: Side of a view in pixels.
        flip: Mirror half of the views.
        rng: Generator of the epoch's order and views.
        skip: Number of batches to leave out at the beginning, without decoding them.
    """
    # Separate generators for order and views: skipped versions are read and drawn, but not decoded.
    orders, views = rng.spawn(2)

    def drawn() -> Iterator[tuple[Row, NDArray[np.float64]]]:
        for row in _shuffled(dataset, orders):
            yield row, views.random(4)

    def show(sample: tuple[Row, NDArray[np.float64]]) -> tuple[NDArray[np.uint8], Row]:
        row, draws = sample
        view = random_view(decode_version(row["image"]["bytes"]), crop, draws, flip=flip)
        return view, {name: value for name, value in row.items() if name != "image"}

    for batch in batched(parallel_map(show, islice(drawn(), skip * size, None)), size):
        if len(batch) == size:
            sources = list(dict.fromkeys(row["image_id"] for _, row in batch))
            truth = [[row["quality"], sources.index(row["image_id"]), *row["worker_tcp"]] for _, row in batch]
            yield Batch(np.stack([view for view, _ in batch]), np.array(truth, np.float32))
