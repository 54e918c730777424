"""How busy the machine was while a stage ran, sampled as MLflow samples it for runs of its own."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any

from mlflow.entities import Metric
from mlflow.environment_variables import MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL

__all__ = ["SystemSample", "sampled_system_metrics", "system_metrics"]

SystemSample = dict[str, float]
"""Unix seconds as `time`, and MLflow's figures by the names that it gives them."""

_SECONDS = 10.0  # between two samples, as MLflow has it


def _monitors() -> list[Any]:
    # Here, since not every image of the pipeline has psutil.
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    # Without a GPU, or what asks it.
    with suppress(ImportError, RuntimeError):
        monitors.append(GPUMonitor())
    return monitors


@contextmanager
def sampled_system_metrics() -> Iterator[list[SystemSample]]:
    """Samples how busy CPU, memory, disk, network and GPUs are until the context ends, once more at its end.

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
            for monitor in monitors:
                monitor.collect_metrics()
                values |= monitor.aggregate_metrics()
                monitor.clear_metrics()
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
