"""System metrics of a stage: CPU, memory, disk, network and GPUs, sampled and logged by MLflow."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlflow import MlflowClient

from metrifier_core.execution.progress import say
from metrifier_core.settings.credentials import without_credentials
from metrifier_core.tracking.offline_queue import is_queueing
from metrifier_core.tracking.pipeline_run import PipelineRun, parent_run
from metrifier_core.tracking.runs import open_stage_run
from metrifier_core.tracking.timeouts import short_timeouts


@contextmanager
def log_system_metrics(run: PipelineRun, stage: str) -> Iterator[None]:
    """Log system metrics to the run of a stage while the context lasts; `log_stage` then completes that run.

    MLflow samples every 10 s, or as `MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL` says. A stage never fails for its system
    metrics: a message says why there are none.
    """
    monitor = None if is_queueing() else _start_monitor(run, stage)
    try:
        yield
    finally:
        if monitor is not None:
            monitor.finish()


def _start_monitor(run: PipelineRun, stage: str) -> Any:
    try:
        # It needs psutil, which only the extra `train` has.
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        with short_timeouts():
            client = MlflowClient()
            run_id = open_stage_run(client, run, parent_run(client, run), stage, time.time()).info.run_id
            client.update_run(run_id, status="RUNNING")  # an earlier attempt may have failed
            monitor = SystemMetricsMonitor(run_id, resume_logging=True)
        monitor.start()
    except Exception as error:
        reason = without_credentials(f"{type(error).__name__}: {error}")
        say(f"{stage}: goes on without system metrics. Reason: {reason}")
        return None
    return monitor
