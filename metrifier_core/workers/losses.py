"""From a worker's logits to its losses, and the temperature that calibrates it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from metrifier_core.images import RgbImage
from metrifier_core.workers.worker import Worker

_LOG_TEMPERATURE_BOUNDS = (-3.0, 3.0)


@dataclass(frozen=True)
class WorkerLosses:
    """One worker's losses on N versions; every array has shape (N,).

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
    """Fit the temperature under which the labels are most likely (Guo et al. 2017, arXiv 1706.04599, section 4.2).

    Args:
        logits: (N, C), of clean calibration images.
        labels: (N,) class indices.

    Returns:
        The divisor of the logits, above 1 for an over-confident worker.

    Raises:
        ValueError: There are no images.
    """
    if not len(labels):
        raise ValueError("no calibration images: give the calibration split a larger share")
    rows = np.arange(len(labels))

    def negative_log_likelihood(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-np.mean(scaled[rows, labels]))

    minimum = minimize_scalar(negative_log_likelihood, bounds=_LOG_TEMPERATURE_BOUNDS, method="bounded")
    return float(np.exp(minimum.x))


def judge(logits: NDArray[np.float64], labels: NDArray[np.int64], temperature: float) -> WorkerLosses:
    """Compute losses from logits.

    Args:
        logits: (N, C) float64.
        labels: (N,) class indices.
        temperature: Divisor of the logits.

    Raises:
        ValueError: A label is not one of the worker's classes.
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
    """Compute a worker's losses, at its temperature, on N >= 1 uint8 RGB images with their class indices."""
    return judge(worker.logits(images), np.asarray(labels, np.int64), worker.temperature)


def compute_loss(worker: Worker, image: RgbImage, label: int) -> float:
    """Compute a worker's loss on one labelled image.

    Args:
        worker: Worker.
        image: (H, W, 3) uint8 RGB.
        label: Class index.

    Returns:
        1 - TCP, in [0, 1]; 0 is best.
    """
    return float(compute_losses(worker, [image], [label]).loss[0])
