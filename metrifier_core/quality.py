"""From a worker's logits to true-class probability, loss and quality; and the temperature that keeps it honest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

__all__ = ["WorkerLosses", "fit_temperature", "judge", "mean_quality"]

_LOG_TEMPERATURE_BOUNDS = (-3.0, 3.0)


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
    """
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


def mean_quality(tcp: NDArray[np.float64]) -> NDArray[np.float64]:
    """Averages true-class probabilities over label workers.

    Args:
        tcp: (W, N), W workers in one fixed order, since the order of a sum shows in its last digit.

    Returns:
        (N,) quality in [0, 1]; higher is better.
    """
    return np.asarray(tcp.mean(axis=0), np.float64)
