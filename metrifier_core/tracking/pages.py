"""Where MLflow's UI shows the runs of pipelines."""

from urllib.parse import quote

import mlflow
from mlflow import MlflowClient

# The runs of stages have no such tag: it leaves whole pipelines, which are what is compared.
_WHOLE = "tags.`metrifier.version` LIKE '%'"


def runs_page() -> str | None:
    """Finds the page of the experiment that the newest pipeline run is in, with the runs of whole pipelines alone.

    Returns:
        What stands behind the UI's address; None where no pipeline was run.
    """
    experiments = [experiment.experiment_id for experiment in mlflow.search_experiments()]
    newest = MlflowClient().search_runs(experiments, _WHOLE, max_results=1, order_by=["attributes.start_time DESC"])
    return f"/#/experiments/{newest[0].info.experiment_id}/runs?searchFilter={quote(_WHOLE)}" if newest else None
