"""Runs the pipeline on this machine: `python -m pipelines.local CONFIG [key=value ...]`."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from metrifier_core.config.run import ConfigError, load_config
from metrifier_core.data.registration import Registration
from metrifier_core.settings.credentials import without_credentials
from metrifier_core.statistics import FamiliesMetrics, Metrics
from pipelines.graph.images import choose_images
from pipelines.local.results import baselines_table, families_tables, metrics_table
from pipelines.local.runner import RunError, run_locally

_TABLE_WIDTH = 96

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[Path, typer.Argument(help="a YAML file such as configs/digits.yaml")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="settings that stand above the file")
    ] = None,
    *,
    runs: Annotated[Path, typer.Option(help="the folder of all runs")] = Path("runs"),
    fresh: Annotated[bool, typer.Option("--fresh", help="forget what an earlier run of this name finished")] = False,
    reuse: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="take what runs/NAME finished, where the config says the same of a stage"),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TARGET=]IMAGE",
            help="run in containers: the image of all stages, with {target} in it or not, or of data, train or ingest",
        ),
    ] = None,
) -> None:
    """Run the whole pipeline of a CONFIG on this machine, into runs/NAME.

    Run again, it goes on where it was: finished tasks and shards are not done again.

    Examples:
      python -m pipelines.local configs/digits.yaml

      python -m pipelines.local configs/digits.yaml name=quick metrifier.epochs=2 source.max_sources=400

      python -m pipelines.local configs/digits.yaml name=longer metrifier.epochs=24 --reuse digits

      python -m pipelines.local configs/digits.yaml name=families evaluation.leave_one_family_out=true

      python -m pipelines.local configs/digits.yaml --image metrifier-{target}:0.1.0
    """
    # Cut figures help nobody: a narrower terminal wraps the table.
    console = Console(width=max(_TABLE_WIDTH, Console().width))
    try:
        images = choose_images(image, []) if image else None
    except ValueError as error:
        typer.echo(f"nothing was run: {error}", err=True)
        raise typer.Exit(2) from None
    try:
        loaded = load_config(config, overrides or [])
        folder = run_locally(loaded, runs, fresh=fresh, reuse=reuse, images=images)
    except ConfigError as error:
        typer.echo(f"{config}: nothing was run, the config is wrong:\n{error}", err=True)
        raise typer.Exit(2) from None
    except RunError as error:
        again = "\nOnce that is mended, the same command goes on from here." if error.begun else ""
        typer.echo(f"failed: {error}{again}", err=True)
        raise typer.Exit(1) from None
    shown = os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) else str(folder)
    server = without_credentials(os.environ["MLFLOW_TRACKING_URI"])
    if loaded.held_out_families:
        console.print(*families_tables(FamiliesMetrics.model_validate_json((folder / "families.json").read_bytes())))
        typer.echo(f"Comparison:      {shown}/families.md")
        typer.echo(f"Reports:         {shown}/families/*/report.html")
        typer.echo(f"In MLflow:       {_look(server, folder, shown)}")
    else:
        metrics = Metrics.model_validate_json((folder / "metrics.json").read_bytes())
        console.print(metrics_table(metrics), baselines_table(metrics))
        typer.echo(f"Report:          {shown}/report.html")
        registered = Registration.model_validate_json((folder / "registered.json").read_bytes())
        if registered.version is not None:
            standing = f"{'the champion' if registered.champion else 'a challenger'}: {registered.gate}"
            typer.echo(f"Registered:      {registered.model_name} version {registered.version}, {standing}")
            typer.echo(f"In MLflow:       {_look(server, folder, shown, registered.experiment_id or '')}")
        typer.echo(f"Score an image:  .venv/bin/metrifier score IMAGE --model {shown}/model")
    if (folder / "unlogged").is_dir():
        typer.echo(f"All results are complete, but not in MLflow at {server}: run the same command again", err=True)
        raise typer.Exit(1)


def _look(server: str, folder: Path, shown: str, experiment: str = "") -> str:
    """Says how a run is looked at in MLflow."""
    if server == f"sqlite:///{folder / 'mlflow.db'}":
        return f"make ui RUN={shown}"
    if server.startswith("sqlite:"):
        return f".venv/bin/mlflow ui --backend-store-uri {server}"
    return f"{server}/#/experiments/{experiment}/runs" if experiment else server


if __name__ == "__main__":
    app()
