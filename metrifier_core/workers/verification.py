"""Verification of a worker against its catalogue entry: checksum, outputs, accuracy and better settings."""

import timeit
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from metrifier_core.workers.catalogue import MiniatureSpec, WorkerSpec
from metrifier_core.workers.creation import open_worker
from metrifier_core.workers.interface import ModelInterface
from metrifier_core.workers.losses import fit_temperature
from metrifier_core.workers.weights import find_weights
from metrifier_core.workers.worker import Worker

_PROBED = 300  # images on which other settings are tried
_TIMED = 20
_BETTER = 0.05  # gain in accuracy above which another setting is taken for the right one
_SAME = 0.02  # gain up to which a changed setting is left out of the message
_CHANCE = 0.03  # accuracy above chance up to which a worker counts as guessing


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
    """The findings about a worker.

    Attributes:
        name: Worker's name.
        family: Its family.
        faults: What is wrong with it, a sentence each.
        images: Number of images that it was run on.
        rejected: Reasons of the images that cannot be used, by image.
        top1: Top-1 accuracy; like the next three, None if the worker cannot be run.
        top5: Top-5 accuracy.
        temperature: Temperature under which the labels are most likely.
        milliseconds: Time per image on one thread, from its pixels on.
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


class _Reading(NamedTuple):
    """One way to show images to a worker and to read its outputs."""

    channels: str
    scaling: str
    offset: int

    def describe(self, other: "_Reading") -> str:
        """Name the settings that differ from another reading's."""
        settings = zip(("channels", "pixels as", "class_offset"), self, other, strict=True)
        return ", ".join(f"{name} {value}" for name, value, other_value in settings if value != other_value)


def _decode(item: SourceItem) -> RgbImage | ImageError:
    try:
        return decode_image(item.read())
    except ImageError as error:
        return error


def _run(
    worker: Worker, items: Sequence[SourceItem], description: str, rejected: dict[str, str]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Run a worker on the usable images and return (N, outputs) and (N,) labels; note the others in `rejected`."""

    def run(batch: Sequence[SourceItem]) -> tuple[list[int], list[NDArray[np.float64]]]:
        images, labels = [], []
        for item in batch:
            decoded = _decode(item)
            if isinstance(decoded, ImageError):
                rejected[item.image_id] = str(decoded)
            else:
                images.append(decoded)
                labels.append(item.label)
        return labels, [worker.outputs(images)] if images else []

    batches = parallel_map(run, batched(items, worker.batch_size))
    results = list(progress(batches, description, total=-(-len(items) // worker.batch_size), unit="batch"))
    outputs = [array for _, arrays in results for array in arrays]
    if not outputs:
        raise ValueError("none of the images can be used")
    return np.concatenate(outputs), np.array([label for labels, _ in results for label in labels], np.int64)


def _share_right(outputs: NDArray[np.float64], labels: NDArray[np.int64], offset: int) -> float:
    """Return the accuracy if class 0 is the output `offset`; with -1, the first output is class 1."""
    first = max(offset, 0)
    if outputs.shape[1] <= first:
        return 0.0
    return float(np.mean(outputs[:, first:].argmax(axis=1) + first - offset == labels))


def _scaling_of(interface: ModelInterface) -> tuple[str, _Scaling]:
    """Return an interface's scaling and its name, made of its numbers if it is not a common one."""
    own = _Scaling(interface.scale, interface.mean, interface.std)
    for name, known in _SCALINGS.items():
        if np.allclose(np.hstack(own), np.hstack(known), rtol=1e-3, atol=0):
            return name, own
    scale, mean, std = (np.round(value, 4).tolist() for value in own)
    return f"(x * {scale} - {mean}) / {std}", own


def _try_readings(worker: Worker, items: Sequence[SourceItem], name: str) -> dict[_Reading, float]:
    """Return the accuracy for every channel order, common scaling and class offset next to the worker's own."""
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
            continue  # outside the range of its integer dtype
        outputs, labels = _run(worker.with_interface(varied), items, f"{name}: {channels}, {scaling}", {})
        if interface.class_order is not None:
            outputs = worker.to_logits(outputs)  # drops the outputs before class 0
        finite = np.nan_to_num(outputs, nan=0, posinf=0, neginf=0)
        for step in offsets:
            offset = interface.class_offset + step
            first = offset if interface.class_order is None else 0
            shares[_Reading(channels, scaling, offset)] = _share_right(finite, labels, first)
    return shares


def _find_better(shares: Mapping[_Reading, float], own: _Reading) -> str | None:
    """Return a sentence about the reading that is right much more often than a worker's own, if there is one."""
    best = max(shares, key=lambda reading: shares[reading])
    highest = shares[best]
    if highest - shares[own] <= _BETTER:
        return None
    for setting, value in own._asdict().items():
        nearer = best._replace(**{setting: value})
        if shares.get(nearer, 0) >= highest - _SAME:
            best = nearer
    what = "class order" if (best.channels, best.scaling) == (own.channels, own.scaling) else "preprocessing"
    return (
        f"your {what} looks wrong: {best.describe(own)} gives {shares[best]:.0%}, "
        f"{own.describe(best)} {shares[own]:.0%}"
    )


def _milliseconds(worker: Worker, items: Sequence[SourceItem]) -> float:
    """Return the median time per image on one thread."""
    images = [next(image for image in map(_decode, items) if not isinstance(image, ImageError))] * worker.batch_size
    worker.outputs(images)
    seconds = timeit.repeat(lambda: worker.outputs(images), number=1, repeat=_TIMED)
    return float(np.median(seconds)) * 1000 / worker.batch_size


def _verify(result: Verification, worker: Worker, items: Sequence[SourceItem]) -> None:
    """Run a worker and note the findings."""
    outputs, labels = _run(worker, items, result.name, result.rejected)
    result.images = len(labels)
    result.rejected = dict(sorted(result.rejected.items()))
    worker.check_classes(outputs.shape[1])
    try:
        worker.check(outputs)
    except ValueError as error:
        result.faults.append(str(error))
        outputs = np.nan_to_num(outputs, nan=0, posinf=0, neginf=0)
    logits = worker.to_logits(outputs)
    classes = logits.shape[1]
    known = labels < classes
    if not known.all():
        result.faults.append(f"it has {classes} classes, but an image has the label {labels.max()}")
    if known.any():
        result.top1 = top_accuracy(logits[known], labels[known])
        result.top5 = top_accuracy(logits[known], labels[known], 5)
        result.temperature = fit_temperature(logits[known], labels[known])
    result.milliseconds = _milliseconds(worker, items)
    own = _Reading(worker.interface.channels, _scaling_of(worker.interface)[0], worker.interface.class_offset)
    better = _find_better(_try_readings(worker, items[:_PROBED], result.name), own)
    if better is not None:
        result.faults.append(better)
    elif result.top1 is None or result.top1.low < 1 / classes + _CHANCE:
        result.faults.append("its accuracy is close to chance: are these its classes, in its order?")


def verify_worker(name: str, spec: WorkerSpec, items: Sequence[SourceItem]) -> Verification:
    """Verify that a worker is what its catalogue entry says.

    Args:
        name: Worker's name.
        spec: Its catalogue entry.
        items: Labelled images, in an order unrelated to their labels.

    Returns:
        The findings; for a worker that cannot be run, the reason is its fault.
    """
    result = Verification(name, spec.family)
    if isinstance(spec, MiniatureSpec):
        result.faults.append("it is trained on the images of a run: there is nothing to verify before")
        return result
    try:
        _verify(result, open_worker(spec, find_weights(name, spec)), items)
    except ValueError as error:
        result.faults.append(str(error))
    return result
