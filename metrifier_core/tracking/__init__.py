"""MLflow: a run for every pipeline run, nested runs for its stages, a registered version for every training."""

try:
    from mlflow.models import set_model
    from mlflow.pyfunc import PythonModel
except ImportError as error:
    # Without MLflow, a checkout's own folder `mlflow` is importable as an empty namespace.
    raise ImportError("MLflow is not installed: pip install 'metrifier[tracking]'") from error

from metrifier_core.tracking.champion import Verdict
from metrifier_core.tracking.failures import close_unfinished, fail_run, note_failure
from metrifier_core.tracking.offline_queue import log_offline_queue, offline_queue, queued_if_unreachable
from metrifier_core.tracking.pipeline_run import PipelineRun, find_run, runs_page
from metrifier_core.tracking.registry import download_model, download_run_file, register_model
from metrifier_core.tracking.runs import ask_server, complete_run, log_fan_out, log_stage, open_run
from metrifier_core.tracking.system_metrics import log_system_metrics

__all__ = [
    "PipelineRun",
    "PythonModel",
    "Verdict",
    "ask_server",
    "close_unfinished",
    "complete_run",
    "download_model",
    "download_run_file",
    "fail_run",
    "find_run",
    "log_fan_out",
    "log_offline_queue",
    "log_stage",
    "log_system_metrics",
    "note_failure",
    "offline_queue",
    "open_run",
    "queued_if_unreachable",
    "register_model",
    "runs_page",
    "set_model",
]
