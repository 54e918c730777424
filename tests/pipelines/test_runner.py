"""A run that does not get to its end is closed in MLflow, whatever stopped it, and is told in a sentence."""

import io

import mlflow
import pytest
from kfp.local.config import LocalExecutionConfig

from metrifier_core.config.run import load_config
from metrifier_core.settings.environment import PARTIAL_VARIABLE, RUN_ID_VARIABLE, UNLOGGED_VARIABLE
from pipelines.graph import metrifier_pipeline as graph
from pipelines.local.__main__ import _mlflow_page
from pipelines.local.runner import RunError, run_locally
from tests.pipelines.test_compile import CONFIG

ENVIRONMENT = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
    PARTIAL_VARIABLE,
    RUN_ID_VARIABLE,
    UNLOGGED_VARIABLE,
)


@pytest.mark.parametrize(
    ("stopped_by", "reason"),
    [
        (KeyboardInterrupt(), "stopped"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (RuntimeError("a task failed"), "a task failed"),
        (KeyError(), "KeyError"),
    ],
)
def test_a_run_that_is_stopped_is_closed(stopped_by, reason, tmp_path, monkeypatch):
    for variable in ENVIRONMENT:
        monkeypatch.setenv(variable, "")  # as it was, afterwards
        monkeypatch.delenv(variable)
    monkeypatch.setattr(LocalExecutionConfig, "instance", None)

    def build(*_):
        def pipeline(**_):
            raise stopped_by

        return pipeline

    monkeypatch.setattr(graph, "build_graph", build)
    with pytest.raises(RunError, match="The whole log") as told:
        run_locally(load_config(CONFIG), tmp_path, terminal=io.StringIO())
    assert str(told.value).startswith(f"{reason}\n")
    assert told.value.resumable
    client = mlflow.MlflowClient(f"sqlite:///{next(tmp_path.iterdir()) / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (run,) = client.search_runs(experiments)
    assert (run.info.status, run.data.tags["metrifier.failure"]) == ("FAILED", reason)


def test_where_a_run_is_looked_at(tmp_path):
    folder = tmp_path / "runs" / "mine"
    assert _mlflow_page(f"sqlite:///{folder}/mlflow.db", folder, "runs/mine") == "make ui RUN=runs/mine"
    of_another = f"sqlite:///{tmp_path}/mlflow.db"
    assert _mlflow_page(of_another, folder, "runs/mine") == f".venv/bin/mlflow ui --backend-store-uri {of_another}"
    assert _mlflow_page("http://host:5000", folder, "runs/mine", "7") == "http://host:5000/#/experiments/7/runs"
