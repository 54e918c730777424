"""What a metrifier and a worker make of labelled images: what a threshold is chosen by."""

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
    """One image as a metrifier and a worker see it.

    Attributes:
        image_id: Its identity.
        quality: As a table of scores has it; 0 where there is an error.
        right: Whether the worker finds its class; False where there is an error.
        error: Why it cannot be used.
    """

    image_id: str
    quality: float
    right: bool
    error: str | None = None


def _decode(item: SourceItem) -> RgbImage | ImageError:
    try:
        return decode_image(item.read())
    except ImageError as error:
        return error


def _gate(metrifier: Metrifier, worker: Worker, batch: Sequence[SourceItem]) -> list[JudgedImage]:
    decoded = [(item, _decode(item)) for item in batch]
    usable = [(item, found) for item, found in decoded if not isinstance(found, ImageError)]
    right: Iterator[bool] = iter(())
    if usable:
        outputs = worker.outputs([image for _, image in usable])
        worker.check(outputs)
        labels = [item.label for item, _ in usable]
        right = iter(judge(worker.to_logits(outputs), np.asarray(labels, np.int64), 1.0).correct.tolist())
    return [
        JudgedImage(item.image_id, 0.0, False, str(found))
        if isinstance(found, ImageError)
        else JudgedImage(item.image_id, round_quality(metrifier.score(found)), next(right))
        for item, found in decoded
    ]


def judge_images(metrifier: Metrifier, worker: Worker, items: Iterable[SourceItem]) -> Iterator[JudgedImage]:
    """Scores images and classifies them, each decoded once, on all cores.

    Args:
        metrifier: What scores.
        worker: What classifies.
        items: Labelled images; read only a little ahead of the results.

    Yields:
        What was found, in the order of the items.

    Raises:
        ValueError: The worker's answers are not what its entry says, or an image has a label that is none of its
            classes.
    """
    found = parallel_map(partial(_gate, metrifier, worker), batched(items, worker.batch_size))
    return chain.from_iterable(found)
