"""Is a worker what its catalogue entry says? Its checksum, its answers, its accuracy, and what would make it better."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from metrifier_core.execution.parallel import batched, parallel_map
from metrifier_core.execution.progress import progress
from metrifier_core.images import ImageError, RgbImage, decode_image
from metrifier_core.sources import SourceItem
from metrifier_core.statistics import Accuracy, top_accuracy
from metrifier_core.workers import MiniatureSpec, ModelInterface, Worker, WorkerSpec, find_weights, open_worker
from metrifier_core.workers.losses import fit_temperature

_PROBED = 300  # images on which other settings are tried
_TIMED = 20
_BETTER = 0.05  # another setting that gains more than this is taken for the right one
_SAME = 0.02  # what of it gains no more than this is left out of the message
_CHANCE = 0.03  # an accuracy within this of chance tells of nothing else


class _Scaling(NamedTuple):
    """(x * scale - mean) / std."""

    scale: float
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


_SCALINGS = {
    "x / 127.5 - 1": _Scaling(1 / 127.5, (1.0, 1.0, 1.0)),
    "x / 255": _Scaling(1 / 255),
    "(x / 255 - ImageNet's mean) / its deviation": _Scaling(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "x - ImageNet's mean": _Scaling(1.0, (123.68, 116.779, 103.939)),
    "x": _Scaling(1.0),
    "x - 128": _Scaling(1.0, (128.0, 128.0, 128.0)),
}


@dataclass
class Verification:
    """What was found out about a worker.

    Attributes:
        name: Its name.
        family: Its family.
        faults: What is wrong with it, a sentence each; none where all is well.
        images: How many images it was run on.
        rejected: Images that could not be used, by their reason.
        top1: How often it is right; None where it could not be run, as are the next three.
        top5: How often the right class is among its first five.
        temperature: That under which the labels are most likely.
        milliseconds: An image, on one thread, from its pixels on.
    """

    name: str
    family: str
    faults: list[str] = field(default_factory=list)
    images: int = 0
    rejected: dict[str, str] = field(default_factory=dict)
    top1: Accuracy | None = None
    top5: Accuracy | None = None
    temperature: float | None = None
    milliseconds: float | None = None


@dataclass(frozen=True)
class _Reading:
    """One way to show images to a worker and to read its answers."""

    channels: str
    scaling: str
    offset: int

    def describe(self, other: "_Reading") -> str:
        """Says what of it differs from another."""
        return ", ".join(
            f"{name} {value}"
            for name, value, others in (
                ("channels", self.channels, other.channels),
                ("pixels as", self.scaling, other.scaling),
                ("class_offset", self.offset, other.offset),
            )
            if value != others
        )


def _decode(item: SourceItem) -> RgbImage | ImageError:
    try:
        return decode_image(item.read())
    except ImageError as error:
        return error


def _run(
    worker: Worker, items: Sequence[SourceItem], description: str, rejected: dict[str, str]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Runs a worker on what can be used of some images: (N, outputs) and (N,) labels."""

    def run(batch: Sequence[SourceItem]) -> tuple[list[SourceItem], NDArray[np.float64] | None]:
        decoded = [(item, _decode(item)) for item in batch]
        rejected.update({item.image_id: str(found) for item, found in decoded if isinstance(found, ImageError)})
        usable = [(item, found) for item, found in decoded if not isinstance(found, ImageError)]
        outputs = worker.outputs([image for _, image in usable]) if usable else None
        return [item for item, _ in usable], outputs

    batches = parallel_map(run, batched(items, worker.batch_size))
    done = list(progress(batches, description, total=-(-len(items) // worker.batch_size), unit="batch"))
    labels = np.array([item.label for used, _ in done for item in used], np.int64)
    if not len(labels):
        raise ValueError("none of the images can be used")
    return np.concatenate([outputs for _, outputs in done if outputs is not None]), labels


def _share_right(outputs: NDArray[np.float64], labels: NDArray[np.int64], offset: int) -> float:
    """How often the largest output is the label's, where class 0 is the output `offset`; -1 where that is class 1."""
    first = max(offset, 0)
    if outputs.shape[1] <= first:
        return 0.0
    return float(np.mean(outputs[:, first:].argmax(axis=1) + first - offset == labels))


def _numbers(scaling: _Scaling) -> list[float]:
    return [scaling.scale, *scaling.mean, *scaling.std]


def _scaling_of(interface: ModelInterface) -> tuple[str, _Scaling]:
    """Names a scaling; one that has no name is called by its numbers."""
    own = _Scaling(interface.scale, interface.mean, interface.std)
    for name, known in _SCALINGS.items():
        if np.allclose(_numbers(own), _numbers(known), rtol=1e-3, atol=0):
            return name, own
    scale, mean, std = (np.round(value, 4).tolist() for value in own)
    return f"(x * {scale} - {mean}) / {std}", own


def _try_readings(worker: Worker, items: Sequence[SourceItem], name: str) -> dict[_Reading, float]:
    """Finds how often a worker is right for every channel order, common scaling and class offset next to its own."""
    interface = worker.interface
    own = interface.model_dump(include=set(ModelInterface.model_fields))
    own_name, own_scaling = _scaling_of(interface)
    scalings = {**_SCALINGS, own_name: own_scaling}
    offsets = [0] if interface.class_order is not None else [-1, 0, 1]
    shares = {}
    for channels, scaling in product(("RGB", "BGR"), scalings):
        try:
            varied = ModelInterface.model_validate({**own, "channels": channels, **scalings[scaling]._asdict()})
        except ValidationError:
            continue  # beyond the range of the integers that it takes
        outputs, labels = _run(worker.with_interface(varied), items, f"{name}: {channels}, {scaling}", {})
        if interface.class_order is not None:
            outputs = worker.to_logits(outputs)  # what stands before class 0 is gone
        finite = np.nan_to_num(outputs, nan=0, posinf=0, neginf=0)
        for step in offsets:
            offset = interface.class_offset + step
            first = offset if interface.class_order is None else 0
            shares[_Reading(channels, scaling, offset)] = _share_right(finite, labels, first)
    return shares


def _find_better(shares: Mapping[_Reading, float], own: _Reading) -> str | None:
    """Says which reading is right much more often than a worker's own, if any is."""
    best = max(shares, key=lambda reading: shares[reading])
    highest = shares[best]
    if highest - shares[own] <= _BETTER:
        return None
    for changes in ({"channels": own.channels}, {"scaling": own.scaling}, {"offset": own.offset}):
        nearer = replace(best, **changes)
        if shares.get(nearer, 0) >= highest - _SAME:
            best = nearer
    what = "class order" if (best.channels, best.scaling) == (own.channels, own.scaling) else "preprocessing"
    return (
        f"your {what} looks wrong: {best.describe(own)} gives {shares[best]:.0%}, "
        f"{own.describe(best)} {shares[own]:.0%}"
    )


def _milliseconds(worker: Worker, items: Sequence[SourceItem]) -> float:
    """Times a worker on one thread, the median of some calls."""
    decoded = map(_decode, items)
    image = next(found for found in decoded if not isinstance(found, ImageError))
    images = [image] * worker.batch_size
    worker.outputs(images)
    seconds = []
    for _ in range(_TIMED):
        started = time.perf_counter()
        worker.outputs(images)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)) * 1000 / worker.batch_size


def _verify(found: Verification, worker: Worker, items: Sequence[SourceItem]) -> None:
    """Fills in what running a worker tells."""
    outputs, labels = _run(worker, items, found.name, found.rejected)
    found.images = len(labels)
    found.rejected = dict(sorted(found.rejected.items()))
    worker.check_classes(outputs.shape[1])
    try:
        worker.check(outputs)
    except ValueError as error:
        found.faults.append(str(error))
        outputs = np.nan_to_num(outputs, nan=0, posinf=0, neginf=0)
    logits = worker.to_logits(outputs)
    classes = logits.shape[1]
    known = labels < classes
    if not known.all():
        found.faults.append(f"it has {classes} classes, but an image has the label {labels.max()}")
    if known.any():
        found.top1 = top_accuracy(logits[known], labels[known])
        found.top5 = top_accuracy(logits[known], labels[known], 5)
        found.temperature = fit_temperature(logits[known], labels[known])
    found.milliseconds = _milliseconds(worker, items)
    own = _Reading(worker.interface.channels, _scaling_of(worker.interface)[0], worker.interface.class_offset)
    better = _find_better(_try_readings(worker, items[:_PROBED], found.name), own)
    if better is not None:
        found.faults.append(better)
    elif found.top1 is None or found.top1.low < 1 / classes + _CHANCE:
        found.faults.append("it is right hardly more often than chance: are these its classes, and in its order?")


def verify_worker(name: str, spec: WorkerSpec, items: Sequence[SourceItem]) -> Verification:
    """Finds out whether a worker is what its catalogue entry says.

    Args:
        name: Its name.
        spec: Its entry.
        items: Labelled images, in an order that has nothing to do with their labels.

    Returns:
        What was found; a worker that cannot be run has that for its fault.
    """
    found = Verification(name, spec.family)
    if isinstance(spec, MiniatureSpec):
        found.faults.append("it is trained on the images of a run: there is nothing to verify before")
        return found
    try:
        _verify(found, open_worker(spec, find_weights(name, spec)), items)
    except ValueError as error:
        found.faults.append(str(error))
    return found
