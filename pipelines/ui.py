"""Opens MLflow's UI on the runs in a folder: `python -m pipelines.ui runs/digits`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    folder: Annotated[Path, typer.Argument(help="what `make run` filled, such as runs/digits")],
    *,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="where on 127.0.0.1 the UI answers")] = 5000,
) -> None:
    """Say where the runs in a FOLDER are looked at, and serve MLflow's UI there until it is interrupted."""
    database = folder / "mlflow.db"
    if not database.is_file():
        typer.echo(
            f"there is no {database}: make run fills runs/digits, or name a run with make ui RUN=runs/NAME", err=True
        )
        raise typer.Exit(2)
    server = f"sqlite:///{database}"
    os.environ["MLFLOW_TRACKING_URI"] = server
    from metrifier_core.tracking import runs_page

    typer.echo(f"MLflow: http://127.0.0.1:{port}{runs_page() or ''}")
    sys.stdout.flush()
    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port), "--backend-store-uri", server]
    os.execv(sys.executable, command)  # noqa: S606


if __name__ == "__main__":
    app()
