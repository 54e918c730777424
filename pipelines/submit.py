"""Submits a compiled pipeline to Kubeflow: `python -m pipelines.submit build/metrifier.yaml --endpoint URL`."""

import os
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from metrifier_core.config.run import ConfigError
from pipelines.cluster.kfp_server import KfpServer, KfpServerError
from pipelines.cluster.package import Package, PackageError, read_package

_TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"  # noqa: S105, the name of a variable
_FAILURE_TAG = "metrifier.failure"  # what a stage that fails leaves at the run in MLflow
_LOOKUP_TIMEOUT = "5"  # seconds that MLflow may take to answer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    package: Annotated[Path, typer.Argument(help="what `python -m pipelines.compile` wrote")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="settings that stand above those compiled in")
    ] = None,
    *,
    endpoint: Annotated[str, typer.Option(envvar="KF_PIPELINES_ENDPOINT", help="address of Kubeflow Pipelines")],
    run_name: Annotated[str | None, typer.Option("--run-name", "-r", help="the config's name where left out")] = None,
    experiment: Annotated[
        str | None, typer.Option("--experiment", "-e", help="of Kubeflow; tracking.experiment where left out")
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="of a multi-user installation")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="wait for the end, and fail if the run does")] = False,
) -> None:
    """Submit a compiled pipeline, and say where it can be looked at.

    A token for the server is read from the variable KF_PIPELINES_TOKEN.

    Examples:
      python -m pipelines.submit build/metrifier.yaml --endpoint https://kubeflow.example/pipeline --watch

      python -m pipelines.submit build/metrifier.yaml --endpoint http://127.0.0.1:8080 seed=1 metrifier.epochs=5
    """
    if urlsplit(endpoint).scheme not in {"http", "https"}:
        _refuse(f"--endpoint {endpoint}: expected http://... or https://...")
    try:
        loaded = read_package(package)
        arguments = loaded.arguments(overrides or [])
    except (PackageError, ConfigError) as error:
        _refuse(str(error))
    try:
        service = KfpServer(endpoint, namespace, os.environ.get(_TOKEN_VARIABLE))
        run_id = service.submit(
            package,
            arguments,
            run_name or str(loaded.value("name", arguments)),
            experiment or str(loaded.value("experiment", arguments)),
        )
    except KfpServerError as error:
        typer.echo(f"nothing was submitted: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"Run:      {service.link(run_id)}")
    if not watch:
        _show_tracking(loaded, run_id)
        return
    try:
        ended = service.watch(run_id, typer.echo)
    except KfpServerError as error:
        typer.echo(f"lost sight of the run, which goes on: {error}", err=True)
        raise typer.Exit(3) from None
    succeeded = ended.state == "SUCCEEDED"
    said = "the run succeeded" if succeeded else f"the run ended as {ended.state}: {ended.reason}"
    typer.echo(said, err=not succeeded)
    _show_tracking(loaded, run_id, succeeded=succeeded)
    if not succeeded:
        raise typer.Exit(1)


def _refuse(message: str) -> Any:
    typer.echo(f"nothing was submitted: {message}", err=True)
    raise typer.Exit(2)


def _show_tracking(package: Package, run_id: str, *, succeeded: bool | None = None) -> None:
    """Says where MLflow has the run, and why it failed; one that has only been submitted is not there yet."""
    server = package.tracking_uri
    if server is None:
        return
    link = f"{server}/#/experiments"
    if succeeded is not None:
        os.environ.setdefault("MLFLOW_TRACKING_URI", server)
        # A name from inside of the cluster may not be known here: MLflow would look for it for minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", _LOOKUP_TIMEOUT)
        from metrifier_core.tracking import find_run

        found = find_run(run_id)
        if found is not None:
            link = f"{server}/#/experiments/{found.info.experiment_id}/runs/{found.info.run_id}"
            reason = found.data.tags.get(_FAILURE_TAG)
            if reason and not succeeded:
                typer.echo(f"Reason:   {reason}", err=True)
    typer.echo(f"MLflow:   {link}")


if __name__ == "__main__":
    app()
