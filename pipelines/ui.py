"""The command that opens MLflow's UI on the runs in a folder: `python -m pipelines.ui runs/digits`."""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.options import fail
from pipelines.tracking_server import SERVER_FILE

_HOST = "127.0.0.1"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    folder: Annotated[Path, typer.Argument(help="a run's folder, such as runs/digits")],
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, envvar="PORT", help=f"port of the UI on {_HOST}; 0 takes any that is free")
    ] = 5000,
) -> None:
    """Print the address of the runs in a FOLDER, and serve MLflow's UI there until it is interrupted."""
    database = folder / "mlflow.db"
    if not database.is_file():
        fail(_elsewhere(folder, database), 2)
    server = f"sqlite:///{database}"
    os.environ["MLFLOW_TRACKING_URI"] = server
    from metrifier_core.tracking import runs_page

    page = runs_page() or ""
    # MLflow would notice a port in use long after the link is printed.
    try:
        with socket.create_server((_HOST, port)) as free:
            port = free.getsockname()[1]
    except OSError as error:
        fail(
            f"port {port} cannot be used ({error.strerror or error}): name another with --port NUMBER, or make ui "
            "PORT=NUMBER; 0 takes any that is free",
            2,
        )
    typer.echo(f"MLflow: http://{_HOST}:{port}{page}")
    sys.stdout.flush()
    # Nothing here needs MLflow's background jobs, which are ten processes.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    command = [sys.executable, "-m", "mlflow", "ui", "--host", _HOST, "--port", str(port), "--workers", "1"]
    os.execv(sys.executable, [*command, "--backend-store-uri", server])  # noqa: S606


def _elsewhere(folder: Path, database: Path) -> str:
    """Return where to find the runs of a folder that holds no database."""
    note = folder / SERVER_FILE
    if not note.is_file():
        return f"there is no {database}: make run fills runs/digits, or name a run with make ui RUN=runs/NAME"
    server = note.read_text(encoding="utf-8").strip()
    if server.startswith("sqlite:"):
        return f"{folder} was logged to another database: .venv/bin/mlflow ui --backend-store-uri {server}"
    return f"{folder} was logged to an MLflow server, look there: {server}"


if __name__ == "__main__":
    app()
