"""The command that runs the pipeline on this machine: `python -m pipelines.local CONFIG [key=value ...]`."""

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
from pipelines.options import ImageOption, Overrides, fail

_MIN_WIDTH = 96  # columns; in a narrower terminal the table wraps rather than lose figures

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[Path, typer.Argument(help="a YAML file such as configs/digits.yaml")],
    overrides: Overrides = None,
    *,
    runs: Annotated[Path, typer.Option(help="the folder of all runs")] = Path("runs"),
    fresh: Annotated[bool, typer.Option("--fresh", help="discard what an earlier run of this name finished")] = False,
    reuse: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="reuse the results of runs/NAME for stages with the same settings"),
    ] = None,
    image: ImageOption = None,
) -> None:
    """Run the whole pipeline of a CONFIG on this machine, into runs/NAME.

    The same command resumes a run: finished tasks and shards are not done again. With --image the stages run in
    containers.

    Examples:
      python -m pipelines.local configs/digits.yaml

      python -m pipelines.local configs/digits.yaml name=quick metrifier.epochs=2 source.max_sources=400

      python -m pipelines.local configs/digits.yaml name=longer metrifier.epochs=24 --reuse digits

      python -m pipelines.local configs/digits.yaml name=families evaluation.leave_one_family_out=true

      python -m pipelines.local configs/digits.yaml --image metrifier-{target}:0.1.0
    """
    console = Console(width=max(_MIN_WIDTH, Console().width))
    try:
        images = choose_images(image, []) if image else None
    except ValueError as error:
        fail(f"nothing was run: {error}", 2)
    try:
        loaded = load_config(config, overrides or [])
        folder = run_locally(loaded, runs, fresh=fresh, reuse=reuse, images=images)
    except ConfigError as error:
        fail(f"{config}: nothing was run, the config is wrong:\n{error}", 2)
    except RunError as error:
        again = "\nFix the cause and run the same command again: it resumes from here." if error.resumable else ""
        fail(f"failed: {error}{again}", 1)
    path = os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) else str(folder)
    server = without_credentials(os.environ["MLFLOW_TRACKING_URI"])
    if loaded.held_out_families:
        console.print(*families_tables(FamiliesMetrics.model_validate_json((folder / "families.json").read_bytes())))
        typer.echo(f"Comparison:      {path}/families.md")
        typer.echo(f"Reports:         {path}/families/*/report.html")
        typer.echo(f"In MLflow:       {_mlflow_page(server, folder, path)}")
    else:
        metrics = Metrics.model_validate_json((folder / "metrics.json").read_bytes())
        console.print(metrics_table(metrics), baselines_table(metrics))
        typer.echo(f"Report:          {path}/report.html")
        registered = Registration.model_validate_json((folder / "registered.json").read_bytes())
        if registered.version is not None:
            typer.echo(f"Registered:      {registered}")
            typer.echo(f"In MLflow:       {_mlflow_page(server, folder, path, registered.experiment_id or '')}")
        typer.echo(f"Score an image:  .venv/bin/metrifier score IMAGE --model {path}/model")
    if (folder / "unlogged").is_dir():
        fail(f"All results are complete, but not in MLflow at {server}: run the same command again", 1)


def _mlflow_page(server: str, folder: Path, path: str, experiment: str = "") -> str:
    """Return the command or the address that shows a run in MLflow."""
    if server == f"sqlite:///{folder / 'mlflow.db'}":
        return f"make ui RUN={path}"
    if server.startswith("sqlite:"):
        return f".venv/bin/mlflow ui --backend-store-uri {server}"
    return f"{server}/#/experiments/{experiment}/runs" if experiment else server


if __name__ == "__main__":
    app()
