"""Labelled images scored by a metrifier and classified by a worker, to choose a threshold by."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np

from metrifier_core.execution.parallel import batched, parallel_map
from metrifier_core.images import ImageError, RgbImage, decode_image
from metrifier_core.scoring.metrifier import Metrifier
from metrifier_core.scoring.score import round_quality
from metrifier_core.sources import SourceItem
from metrifier_core.workers import Worker
from metrifier_core.workers.losses import judge


@dataclass(frozen=True)
class JudgedImage:
    """One image with its score and whether the worker is right.

    Attributes:
        image_id: Identity of the image.
        quality: Its score, rounded as in a table of scores; 0 with an error.
        right: Whether the worker's answer is the label; False with an error.
        error: Why the image cannot be used; None where it can.
    """

    image_id: str
    quality: float
    right: bool
    error: str | None = None


def judge_images(metrifier: Metrifier, worker: Worker, items: Iterable[SourceItem]) -> Iterator[JudgedImage]:
    """Score and classify labelled images, each decoded once, on all cores.

    Yields:
        One result per item, in their order; items are read only slightly ahead.

    Raises:
        ValueError: The worker's outputs do not match its catalogue entry, or a label is not one of its classes.
    """
    judged = parallel_map(partial(_judge_batch, metrifier, worker), batched(items, worker.batch_size))
    return chain.from_iterable(judged)


def _judge_batch(metrifier: Metrifier, worker: Worker, batch: Sequence[SourceItem]) -> list[JudgedImage]:
    decoded = [(item, _decode(item)) for item in batch]
    usable = [(item, image) for item, image in decoded if not isinstance(image, ImageError)]
    right: Iterator[bool] = iter(())
    if usable:
        outputs = worker.outputs([image for _, image in usable])
        worker.check(outputs)
        labels = np.asarray([item.label for item, _ in usable], np.int64)
        right = iter(judge(worker.to_logits(outputs), labels, 1.0).correct.tolist())
    return [
        JudgedImage(item.image_id, 0.0, False, str(image))
        if isinstance(image, ImageError)
        else JudgedImage(item.image_id, round_quality(metrifier.score(image)), next(right))
        for item, image in decoded
    ]


def _decode(item: SourceItem) -> RgbImage | ImageError:
    try:
        return decode_image(item.read())
    except ImageError as error:
        return error
