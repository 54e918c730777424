"""The command that writes the pipeline for a cluster: `python -m pipelines.compile --config CONFIG --output FILE`."""

from pathlib import Path
from typing import Annotated

import typer
from kfp.compiler import Compiler

from metrifier_core.config.run import ConfigError, RunConfig, load_config
from metrifier_core.settings.credentials import without_credentials
from pipelines.cluster.portability import portability_warnings
from pipelines.graph.images import Images, choose_images
from pipelines.graph.metrifier_pipeline import build_graph
from pipelines.graph.site import Site
from pipelines.options import ImageOption, Overrides, fail
from pipelines.tracking_server import check_seen_by_pods, tracking_server


def compile_pipeline(config: RunConfig, images: Images, output: Path) -> None:
    """Write the pipeline as YAML, with the config's sections as the defaults of its parameters.

    Args:
        config: What the pipeline runs by default.
        images: Container images of the stages.
        output: The YAML file.

    Raises:
        ValueError: Pods cannot reach the MLflow server.
        OSError: The file cannot be written.
    """
    server = tracking_server(config.tracking)
    if server:
        check_seen_by_pods(server)
    site = Site(images, server and without_credentials(server), config.cluster, config.tracking.kubeflow)
    pipeline = build_graph(config, site)
    output.parent.mkdir(parents=True, exist_ok=True)
    Compiler().compile(pipeline, str(output), pipeline_parameters=config.pipeline_arguments())


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[Path, typer.Option(help="a YAML file such as configs/digits.yaml")],
    *,
    image: ImageOption = None,
    digest: Annotated[
        list[str] | None,
        typer.Option(metavar="[TARGET=]DIGEST", help="sha256:..., instead of a tag that can be moved"),
    ] = None,
    output: Annotated[Path, typer.Option(help="where to write the pipeline")] = Path("build/metrifier.yaml"),
    overrides: Overrides = None,
) -> None:
    """Write the pipeline as YAML, to be submitted with `kfp run create`.

    Examples:
        python -m pipelines.compile --config configs/digits.yaml --image registry.example/metrifier-{target}:0.1.0

        python -m pipelines.compile --config mine.yaml --image registry.example/{target} --digest train=sha256:...

        kfp --endpoint URL run create -e metrifier -r my-run -f build/metrifier.yaml seed=1
    """
    try:
        loaded = load_config(config, overrides or [])
    except ConfigError as error:
        fail(f"{config}: nothing was written, the config is wrong:\n{error}", 2)
    try:
        if output.suffix not in {".yaml", ".yml"}:
            raise ValueError(f"--output {output}: expected a name that ends with .yaml")
        images = choose_images(image or [], digest or [])
        compile_pipeline(loaded, images, output)
    except (ValueError, OSError) as error:
        reason = f"--output {output}: {error.strerror}" if isinstance(error, OSError) else error
        fail(f"nothing was written: {reason}", 2)
    for warning in portability_warnings(loaded, images):
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"{output}: submit it with kfp --endpoint URL run create -e {loaded.tracking.experiment} -f {output}")


if __name__ == "__main__":
    app()
