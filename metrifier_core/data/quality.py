"""From a worker's logits to true-class probability, loss and quality; and the temperature that keeps it honest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from metrifier_core.images import RgbImage
from metrifier_core.settings.base import Settings
from metrifier_core.workers.worker import Worker

_LOG_TEMPERATURE_BOUNDS = (-3.0, 3.0)
_DROPPED_BITS = 12  # of a float32, 11 of its 23 digits are left


class MergeSettings(Settings):
    """How the label workers' true-class probabilities (TCP) become one number."""

    quality: Literal["mean", "median", "mean_rank"] = Field(
        "mean", description="of TCP; `mean_rank` ranks each worker's versions first, so that none dominates"
    )


@dataclass(frozen=True)
class WorkerLosses:
    """What one worker makes of N versions; every array has shape (N,).

    Attributes:
        tcp: True-class probability in [0, 1].
        loss: 1 - TCP, in [0, 1].
        cross_entropy: -log TCP in nats, exact for tiny probabilities.
        correct: Whether the class with the largest logit is the true one.
        max_softmax: The largest probability, in [1/C, 1].
        entropy: Of the probabilities, in nats, in [0, log C].
    """

    tcp: NDArray[np.float64]
    loss: NDArray[np.float64]
    cross_entropy: NDArray[np.float64]
    correct: NDArray[np.bool_]
    max_softmax: NDArray[np.float64]
    entropy: NDArray[np.float64]


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Finds the temperature under which the labels are most likely.

    Args:
        logits: (N, C), of clean calibration images.
        labels: (N,) class indices.

    Returns:
        A number to divide logits by; above 1 for an over-confident worker. Source: Guo et al. 2017
        (arXiv 1706.04599), section 4.2.

    Raises:
        ValueError: There are no images to fit on.
    """
    if not len(labels):
        raise ValueError("no calibration images: give the calibration split a larger share")
    rows = np.arange(len(labels))

    def negative_log_likelihood(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-np.mean(scaled[rows, labels]))

    found = minimize_scalar(negative_log_likelihood, bounds=_LOG_TEMPERATURE_BOUNDS, method="bounded")
    return float(np.exp(found.x))


def judge(logits: NDArray[np.float64], labels: NDArray[np.int64], temperature: float) -> WorkerLosses:
    """Turns logits into everything that is kept of them.

    Args:
        logits: (N, C) float64.
        labels: (N,) class indices.
        temperature: What the logits are divided by.

    Returns:
        The losses, a row an image.

    Raises:
        ValueError: A label is no class of the worker.
    """
    if len(labels) and not 0 <= labels.min() <= labels.max() < logits.shape[1]:
        raise ValueError(
            f"the labels are {labels.min()} to {labels.max()}, the worker's classes 0 to {logits.shape[1] - 1}"
        )
    log_probability = log_softmax(logits / temperature, axis=1)
    probability = np.exp(log_probability)
    cross_entropy = -log_probability[np.arange(len(labels)), labels]
    tcp = np.exp(-cross_entropy)
    return WorkerLosses(
        tcp=tcp,
        loss=1.0 - tcp,
        cross_entropy=cross_entropy,
        correct=np.argmax(logits, axis=1) == labels,
        max_softmax=probability.max(axis=1),
        entropy=-(probability * np.maximum(log_probability, -1e3)).sum(axis=1),
    )


def compute_losses(worker: Worker, images: Sequence[RgbImage], labels: Sequence[int]) -> WorkerLosses:
    """Runs a worker on labelled images.

    Args:
        worker: The worker.
        images: N uint8 RGB images of any size, at least one.
        labels: N class indices.

    Returns:
        Its losses at its temperature, a row an image.
    """
    return judge(worker.logits(images), np.asarray(labels, np.int64), worker.temperature)


def compute_loss(worker: Worker, image: RgbImage, label: int) -> float:
    """Runs a worker on one labelled image.

    Args:
        worker: The worker.
        image: (H, W, 3) uint8 RGB.
        label: Its class index.

    Returns:
        1 - TCP, in [0, 1]: 0 is as good as can be.
    """
    return float(compute_losses(worker, [image], [label]).loss[0])


def mean_quality(tcp: NDArray[np.float64]) -> NDArray[np.float64]:
    """Averages true-class probabilities over label workers.

    Args:
        tcp: (W, N), W workers in one fixed order, since the order of a sum shows in its last digit.

    Returns:
        (N,) quality in [0, 1]; higher is better.
    """
    return np.asarray(tcp.mean(axis=0), np.float64)


def median_quality(tcp: NDArray[np.float64]) -> NDArray[np.float64]:
    """Takes the median of true-class probabilities over label workers: no single one of them moves it far.

    Args:
        tcp: (W, N).

    Returns:
        (N,) quality in [0, 1]; higher is better.
    """
    return np.asarray(np.median(tcp, axis=0), np.float64)


class RankScale:
    """Where a worker's true-class probability stands among all that it gave, in memory that does not grow with them.

    Probabilities that differ by less than one part in 2,000 stand alike.
    """

    def __init__(self, workers: int) -> None:
        """Starts with nothing counted.

        Args:
            workers: How many workers there are, each with a scale of its own.
        """
        self._counts = np.zeros((workers, _rank_bin(np.ones(1))[0] + 1), np.int64)

    def count(self, tcp: NDArray[np.float64]) -> None:
        """Counts true-class probabilities, (W, N); every version once before any is ranked."""
        bins = self._counts.shape[1]
        self._counts += [np.bincount(_rank_bin(own), minlength=bins) for own in tcp]

    def mean_rank(self, tcp: NDArray[np.float64]) -> NDArray[np.float64]:
        """Averages ranks over label workers.

        Args:
            tcp: (W, N), in the workers' order of `count`.

        Returns:
            (N,) quality in (0, 1): the share of all versions that a worker does worse on, half of its equals counted,
            averaged over workers.
        """
        # Twice the mid-ranks, in whole numbers: equal means are equal to the last digit.
        doubled = 2 * np.cumsum(self._counts, axis=1) - self._counts
        summed = np.sum([ranks[_rank_bin(own)] for ranks, own in zip(doubled, tcp, strict=True)], axis=0)
        return np.asarray(summed / (2 * self._counts.sum()), np.float64)


def _rank_bin(tcp: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers probabilities in their order: the first bits of a positive float count up with it."""
    return (tcp.astype(np.float32).view(np.uint32) >> _DROPPED_BITS).astype(np.int64)
