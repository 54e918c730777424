"""What a network is shown in training, in an order that follows from the seed and the epoch alone."""

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
_VERSIONS_OF_A_SOURCE = 4  # that stand in a batch together, so that it has pairs of one source image

Row = dict[str, Any]


class Batch(NamedTuple):
    """Some training views and what is known of them.

    Attributes:
        pixels: (N, S, S, 3) uint8 RGB.
        truth: (N, 2 + W) float32: quality, a number that tells source images apart, each label worker's TCP.
    """

    pixels: NDArray[np.uint8]
    truth: NDArray[np.float32]


def _mix(dataset: QualityDataset, groups: Sequence[int], rng: np.random.Generator) -> list[list[Row]]:
    """Reads the training versions of some row groups, a few of one source image together, in random order."""
    by_source: defaultdict[str, list[Row]] = defaultdict(list)
    for row in chain.from_iterable(dataset.rows(group, "train") for group in groups):
        by_source[row["image_id"]].append(row)
    few = [
        [rows[index] for index in order]
        for rows in by_source.values()
        for order in batched(rng.permutation(len(rows)).tolist(), _VERSIONS_OF_A_SOURCE)
    ]
    return [few[index] for index in rng.permutation(len(few))]


def _windows(dataset: QualityDataset, rng: np.random.Generator) -> Iterator[list[int]]:
    """Puts the row groups in random order, as many together as memory may hold."""
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
    """Goes through the training versions once; memory holds so many bytes of encoded images."""
    for groups in _windows(dataset, rng):
        mixed = _mix(dataset, groups, rng)[::-1]
        while mixed:  # what has been shown makes room for what is read next
            yield from mixed.pop()


def training_batches(
    dataset: QualityDataset, *, size: int, crop: int, flip: bool, rng: np.random.Generator, skip: int = 0
) -> Iterator[Batch]:
    """Makes the batches of one epoch, whole ones alone; images are decoded ahead of the training step.

    Args:
        dataset: Versions and their quality.
        size: Versions a batch.
        crop: Pixels a side of a view.
        flip: Whether half of the views are mirrored.
        rng: Decides the epoch's order and views.
        skip: Batches at the beginning that are left out, without decoding them.

    Yields:
        The batches that are left.
    """
    # The order and the views have a generator each: what is skipped is read and drawn, but not decoded.
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
