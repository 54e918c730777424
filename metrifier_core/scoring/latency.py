"""A quick measurement of a metrifier's latency; benchmarks/latency.py is the careful one."""

import statistics
import time
from pathlib import Path

import numpy as np

from metrifier_core.scoring.metrifier import Metrifier

_WARM_UP, _ROUNDS = 4, 32


def measure_latency(model: Path) -> float:
    """Measure how many milliseconds a model's default runtime takes for one view, the median of 32 rounds."""
    metrifier = Metrifier.load(model)
    view = np.random.default_rng(0).integers(0, 256, (1, metrifier.card.crop, metrifier.card.crop, 3), np.uint8)
    seconds = []
    for _ in range(_WARM_UP + _ROUNDS):
        begun = time.perf_counter()
        metrifier.score_views(view)
        seconds.append(time.perf_counter() - begun)
    return 1000 * statistics.median(seconds[_WARM_UP:])
