"""How long a metrifier takes for an image on this machine, in passing; benchmarks/latency.py measures it with care."""

import statistics
import time
from pathlib import Path

import numpy as np

from metrifier_core.scoring.metrifier import Metrifier

_WARM_UP, _ROUNDS = 4, 32


def measure_latency(model: Path) -> float:
    """Measures the time of one view alone in the runtime that scores by default, on as many threads as that takes.

    Args:
        model: Folder of a trained metrifier.

    Returns:
        Milliseconds, the median of 32.
    """
    metrifier = Metrifier.load(model)
    view = np.random.default_rng(0).integers(0, 256, (1, metrifier.card.crop, metrifier.card.crop, 3), np.uint8)
    taken = []
    for _ in range(_WARM_UP + _ROUNDS):
        begun = time.perf_counter()
        metrifier.score_views(view)
        taken.append(time.perf_counter() - begun)
    return 1000 * statistics.median(taken[_WARM_UP:])
