"""The command that submits a compiled pipeline: `python -m pipelines.submit build/metrifier.yaml --endpoint URL`."""

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from metrifier_core.config.run import ConfigError
from pipelines.cluster.kfp_server import KfpServer, KfpServerError
from pipelines.cluster.package import Package, PackageError, read_package
from pipelines.options import Overrides, fail

_TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"  # noqa: S105, the name of a variable
_FAILURE_TAG = "metrifier.failure"  # on the run in MLflow, from a stage that failed
_LOOKUP_TIMEOUT = "5"  # seconds for MLflow to answer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    package: Annotated[Path, typer.Argument(help="what `python -m pipelines.compile` wrote")],
    overrides: Overrides = None,
    *,
    endpoint: Annotated[str, typer.Option(envvar="KF_PIPELINES_ENDPOINT", help="address of Kubeflow Pipelines")],
    run_name: Annotated[str | None, typer.Option("--run-name", "-r", help="by default the config's name")] = None,
    experiment: Annotated[
        str | None, typer.Option("--experiment", "-e", help="of Kubeflow; by default tracking.experiment")
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="of a multi-user installation")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="wait for the end, and fail if the run does")] = False,
) -> None:
    """Submit a compiled pipeline, and print the addresses of its pages.

    The variable KF_PIPELINES_TOKEN holds the token for the server.

    Examples:
      python -m pipelines.submit build/metrifier.yaml --endpoint https://kubeflow.example/pipeline --watch

      python -m pipelines.submit build/metrifier.yaml --endpoint http://127.0.0.1:8080 seed=1 metrifier.epochs=5
    """
    if urlsplit(endpoint).scheme not in {"http", "https"}:
        fail(f"nothing was submitted: --endpoint {endpoint}: expected http://... or https://...", 2)
    try:
        loaded = read_package(package)
        arguments = loaded.arguments(overrides or [])
        parameters = {**loaded.defaults, **arguments}
    except (PackageError, ConfigError) as error:
        fail(f"nothing was submitted: {error}", 2)
    try:
        server = KfpServer(endpoint, namespace, os.environ.get(_TOKEN_VARIABLE))
        run_id = server.submit(
            package,
            arguments,
            run_name or str(parameters["name"]),
            experiment or str(parameters["experiment"]),
        )
    except KfpServerError as error:
        fail(f"nothing was submitted: {error}", 1)
    typer.echo(f"Run:      {server.link(run_id)}")
    if not watch:
        _show_tracking(loaded, run_id)
        return
    try:
        outcome = server.watch(run_id, typer.echo)
    except KfpServerError as error:
        fail(f"lost sight of the run, which goes on: {error}", 3)
    succeeded = outcome.state == "SUCCEEDED"
    message = "the run succeeded" if succeeded else f"the run ended as {outcome.state}: {outcome.reason}"
    typer.echo(message, err=not succeeded)
    _show_tracking(loaded, run_id, succeeded=succeeded)
    if not succeeded:
        raise typer.Exit(1)


def _show_tracking(package: Package, run_id: str, *, succeeded: bool | None = None) -> None:
    """Print the run's page in MLflow and why it failed; None means that it was just submitted and has no page yet."""
    server = package.tracking_uri
    if server is None:
        return
    link = f"{server}/#/experiments"
    if succeeded is not None:
        os.environ.setdefault("MLFLOW_TRACKING_URI", server)
        # A name inside the cluster may not resolve here, which MLflow would retry for minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", _LOOKUP_TIMEOUT)
        from metrifier_core.tracking import find_run

        run = find_run(run_id)
        if run is not None:
            link = f"{server}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
            reason = run.data.tags.get(_FAILURE_TAG)
            if reason and not succeeded:
                typer.echo(f"Reason:   {reason}", err=True)
    typer.echo(f"MLflow:   {link}")


if __name__ == "__main__":
    app()
