"""Opens MLflow's UI on the runs in a folder: `python -m pipelines.ui runs/digits`."""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

SERVER_FILE = ".mlflow"
"""In a run's folder: the MLflow server that the run logs to."""

_HOST = "127.0.0.1"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    folder: Annotated[Path, typer.Argument(help="what `make run` filled, such as runs/digits")],
    *,
    port: Annotated[
        int,
        typer.Option(min=0, max=65_535, envvar="PORT", help=f"where on {_HOST} the UI answers; 0 for any that is free"),
    ] = 5000,
) -> None:
    """Say where the runs in a FOLDER are looked at, and serve MLflow's UI there until it is interrupted."""
    database = folder / "mlflow.db"
    if not database.is_file():
        _refuse(_elsewhere(folder, database))
    server = f"sqlite:///{database}"
    os.environ["MLFLOW_TRACKING_URI"] = server
    from metrifier_core.tracking import runs_page

    page = runs_page() or ""
    # Asked at once, since MLflow would say it long after the link, which leads to whoever has the port.
    try:
        with socket.create_server((_HOST, port)) as free:
            port = free.getsockname()[1]
    except OSError as error:
        _refuse(
            f"port {port} cannot be had ({error.strerror or error}): name another with --port NUMBER, or make ui "
            "PORT=NUMBER; 0 takes any that is free"
        )
    typer.echo(f"MLflow: http://{_HOST}:{port}{page}")
    sys.stdout.flush()
    # One person looks; and nothing here is what MLflow's background jobs work on, ten processes that start with it.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    command = [sys.executable, "-m", "mlflow", "ui", "--host", _HOST, "--port", str(port), "--workers", "1"]
    os.execv(sys.executable, [*command, "--backend-store-uri", server])  # noqa: S606


def _refuse(reason: str) -> NoReturn:
    typer.echo(reason, err=True)
    raise typer.Exit(2)


def _elsewhere(folder: Path, database: Path) -> str:
    """Says where the runs are that are not in a folder."""
    noted = folder / SERVER_FILE
    if not noted.is_file():
        return f"there is no {database}: make run fills runs/digits, or name a run with make ui RUN=runs/NAME"
    server = noted.read_text(encoding="utf-8").strip()
    if server.startswith("sqlite:"):
        return f"{folder} was logged to another database: .venv/bin/mlflow ui --backend-store-uri {server}"
    return f"{folder} was logged to an MLflow server, look there: {server}"


if __name__ == "__main__":
    app()
