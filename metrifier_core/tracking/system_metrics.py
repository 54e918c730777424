"""How busy the machine was while a stage ran, sampled as MLflow samples it for runs of its own."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from threading import Event, Thread
from typing import Any

from mlflow.entities import Metric
from mlflow.environment_variables import MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL

from metrifier_core.execution.progress import say

SystemSample = dict[str, float]
"""Unix seconds as `time`, and MLflow's figures by the names that it gives them."""

_SECONDS = 10.0  # between two samples, as MLflow has it


_KINDS = ("CPU", "Disk", "Network", "GPU")


def _monitors() -> dict[str, Any]:
    """Makes MLflow's monitors by their kinds, as far as this machine has what they look at."""
    monitors = {}
    for kind in _KINDS:
        try:
            # Here, since not every image of the pipeline has psutil.
            module = import_module(f"mlflow.system_metrics.metrics.{kind.lower()}_monitor")
            monitors[kind] = getattr(module, f"{kind}Monitor")()
        except Exception as error:
            # Without a GPU, or what asks it, there is nothing to be said.
            if not (kind == "GPU" and isinstance(error, ImportError | RuntimeError)):
                _give_up(kind, error)
    return monitors


def _give_up(kind: str, error: Exception) -> None:
    say(f"system metrics: goes on without {kind}. Reason: {type(error).__name__}: {error}")


@contextmanager
def sampled_system_metrics() -> Iterator[list[SystemSample]]:
    """Samples how busy CPU, memory, disk, network and GPUs are until the context ends, once more at its end.

    What cannot be sampled is left out and said once: a training does not end for it.

    Yields:
        The samples, to be read when the context has ended; one in ten seconds, or in as many as
        `MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL` says.
    """
    monitors, samples, over = _monitors(), list[SystemSample](), Event()
    interval = MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.get() or _SECONDS

    def sample() -> None:
        ended = False
        while not ended:
            ended = over.wait(interval)
            values = {"time": time.time()}
            for kind, monitor in list(monitors.items()):
                try:
                    monitor.collect_metrics()
                    values |= monitor.aggregate_metrics()
                    monitor.clear_metrics()
                except Exception as error:
                    _give_up(kind, error)
                    del monitors[kind]
            samples.append(values)

    sampler = Thread(target=sample, name="system metrics", daemon=True)
    sampler.start()
    try:
        yield samples
    finally:
        over.set()
        sampler.join()


def system_metrics(samples: Sequence[SystemSample]) -> list[Metric]:
    """Turns samples into metrics that MLflow shows on a run's page of system metrics."""
    return [
        Metric(f"system/{key}", value, int(sample["time"] * 1000), step)
        for step, sample in enumerate(samples)
        for key, value in sample.items()
        if key != "time"
    ]
