"""Finished runs by the names that users give: a folder, or a run in MLflow."""

import re
from dataclasses import dataclass
from pathlib import Path

PREDICTIONS = "predictions.parquet"
_MLFLOW_RUN = re.compile("runs:/+([^/]+)/?")
_LOGGED_MODEL = "metrifier"  # the name under which the registry logs the model


@dataclass(frozen=True)
class FinishedRun:
    """A run whose test versions have been judged.

    Attributes:
        name: The name that the user gave.
        predictions: Its `predictions.parquet`.
        model: Its metrifier, as `Metrifier.load` takes it.
        folder: The run's folder with its versions; None for a run in MLflow, which keeps no versions.
    """

    name: str
    predictions: Path
    model: str
    folder: Path | None


def find_finished_run(name: str) -> FinishedRun | None:
    """Find a run by its folder, or by `runs:/ID` on the server that MLFLOW_TRACKING_URI names, with its predictions.

    Returns:
        The run; None where the name is that of something else, such as a model.

    Raises:
        ValueError: MLflow has no such run, or the run has no predictions.
        ImportError: MLflow is not installed.
    """
    match = _MLFLOW_RUN.fullmatch(name)
    if match is not None:
        return FinishedRun(name, _download(name, match[1]), f"runs:/{match[1]}/{_LOGGED_MODEL}", None)
    folder = Path(name)
    if (folder / PREDICTIONS).is_file():
        return FinishedRun(name, folder / PREDICTIONS, str(folder / "model"), folder)
    return None


def _download(name: str, run_id: str) -> Path:
    from metrifier_core.tracking import download_run_file

    try:
        return download_run_file(run_id, PREDICTIONS)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
