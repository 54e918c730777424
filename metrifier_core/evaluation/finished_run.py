"""Finished runs by the names that users have for them: a folder, or a run in MLflow."""

import re
from dataclasses import dataclass
from pathlib import Path

PREDICTIONS = "predictions.parquet"
_MLFLOW_RUN = re.compile("runs:/+([^/]+)/?")
_LOGGED_MODEL = "metrifier"  # as the registry logs it with the run


@dataclass(frozen=True)
class FinishedRun:
    """A run whose test versions have been judged.

    Attributes:
        name: As it was given.
        predictions: Its `predictions.parquet`.
        model: Its metrifier, as `Metrifier.load` takes it.
        folder: Where its versions lie; None for a run of MLflow, which keeps none.
    """

    name: str
    predictions: Path
    model: str
    folder: Path | None


def find_finished_run(name: str) -> FinishedRun | None:
    """Finds a run, and fetches from MLflow what it is judged by.

    Args:
        name: A run's folder, or `runs:/ID` on the server that MLFLOW_TRACKING_URI names.

    Returns:
        None where the name is that of something else, such as a model.

    Raises:
        ValueError: MLflow has no such run, or it has not been judged.
        ImportError: MLflow is not installed.
    """
    found = _MLFLOW_RUN.fullmatch(name)
    if found is not None:
        return FinishedRun(name, _fetch(name, found[1]), f"runs:/{found[1]}/{_LOGGED_MODEL}", None)
    folder = Path(name)
    if (folder / PREDICTIONS).is_file():
        return FinishedRun(name, folder / PREDICTIONS, str(folder / "model"), folder)
    return None


def _fetch(name: str, run_id: str) -> Path:
    from metrifier_core.tracking import download_run_file

    try:
        return download_run_file(run_id, PREDICTIONS)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
