"""The graph: which stage feeds which. The same object runs here, in containers and on a cluster."""

from collections.abc import Callable
from typing import Any, NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Markdown, Metrics, Model, PipelineTask

import components
from components.image import DEFAULT_IMAGE

__all__ = ["PIPELINE_NAME", "build_pipeline"]

PIPELINE_NAME = "metrifier"

_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",  # the ONNX converter simplifies a graph in the order of a set
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "GLOG_minloglevel": "2",
}


class ShardTables(NamedTuple):
    """What comes out of one shard."""

    versions: Dataset
    losses: Dataset


class RunArtifacts(NamedTuple):
    """What comes out of a run; the shards' tables are named in the metadata of `quality`."""

    images: Dataset
    prepared: Model
    quality: Dataset
    model: Model
    metrics: Metrics
    report: HTML
    evaluated: Artifact
    registered: Artifact
    model_card: Markdown


def build_pipeline(image: str = DEFAULT_IMAGE, tracking_uri: str | None = None) -> Any:
    """Builds the pipeline.

    Args:
        image: The container image that every component runs in.
        tracking_uri: The MLflow server that tasks log to, where their environment does not name one.

    Returns:
        A KFP pipeline; its parameters are the sections of a config, and its artifacts hang on its tasks.
    """

    def run(component: Callable[..., PipelineTask], /, **inputs: Any) -> PipelineTask:
        """Makes a task of a component; what holds for every task is set here."""
        task = component(**inputs)
        task.set_container_image(image)
        for variable, value in _ENVIRONMENT.items():
            task.set_env_variable(variable, value)
        if tracking_uri is not None:
            task.set_env_variable("MLFLOW_TRACKING_URI", tracking_uri)
        return task

    @dsl.pipeline(name="evaluate-shard", description="One shard: its versions, and the losses of all workers on them.")
    def evaluate_shard(
        shard: str,
        seed: int,
        distortions: dict[str, Any],
        worker_groups: list[list[str]],
        images: Input[Dataset],
        prepared: Input[Model],
    ) -> ShardTables:
        distorted = run(components.distort, distortions=distortions, seed=seed, shard=shard, images=images)
        versions = distorted.outputs["versions"]
        with dsl.ParallelFor(worker_groups, name="workers") as workers:
            evaluated = run(
                components.worker_evaluate, workers=workers, shard=shard, prepared=prepared, versions=versions
            )
            # The stage has a thread a core already; each runs its own image.
            evaluated.set_env_variable("TF_NUM_INTRAOP_THREADS", "1")
        joined = run(
            components.join_losses,
            shard=shard,
            versions=versions,
            parts=dsl.Collected(evaluated.outputs["losses"]),
        )
        return ShardTables(versions=versions, losses=joined.outputs["losses"])

    @dsl.pipeline(name=PIPELINE_NAME, description="Trains a metrifier and judges it by workers it has never met.")
    def metrifier_pipeline(
        name: str,
        seed: int,
        shards: int,
        source: dict[str, Any],
        splits: list[Any],
        distortions: dict[str, Any],
        workers: dict[str, Any],
        worker_groups: list[list[str]],
        merge: dict[str, Any],
        metrifier: dict[str, Any],
        evaluation: dict[str, Any],
        tracking: dict[str, Any],
        experiment: str,
    ) -> RunArtifacts:
        """Trains a metrifier and judges it by workers it has never met.

        Args:
            name: Names the run.
            seed: Decides splits' order, versions, workers that are trained here, and the training.
            shards: How many branches the source images are spread over.
            source: Where the images come from: kind, and what that kind needs.
            splits: How source images are shared out, a rule a pattern of identities.
            distortions: Types, held-out types, severities and versions a source image.
            workers: Label workers, held-out workers and their catalogue.
            worker_groups: The names of all workers of `workers`, a list for those that share a task, since the graph
                cannot look into it; change both together.
            merge: How the label workers' probabilities become one number.
            metrifier: Architecture and training.
            evaluation: How the metrifier is judged.
            tracking: Name of the registered model.
            experiment: MLflow experiment.
        """
        of_run = {"name": name, "run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER, "experiment": experiment}
        downloaded = run(components.download, **of_run, source=source, splits=splits, seed=seed, shards=shards)
        images = downloaded.outputs["images"]
        prepared = run(components.prepare_workers, **of_run, workers=workers, seed=seed, images=images).outputs[
            "prepared"
        ]
        with dsl.ParallelFor(downloaded.outputs["Output"], name="shards") as shard:
            evaluated_shard = evaluate_shard(
                shard=shard,
                seed=seed,
                distortions=distortions,
                worker_groups=worker_groups,
                images=images,
                prepared=prepared,
            )

        def of_all_shards(table: str) -> dsl.Collected:
            """Collects a table over the shards; the compiler changes the object, so every consumer needs its own."""
            return dsl.Collected(evaluated_shard.outputs[table])

        merged = run(
            components.merge_dataset,
            **of_run,
            distortions=distortions,
            merge=merge,
            images=images,
            prepared=prepared,
            losses=of_all_shards("losses"),
        )
        quality = merged.outputs["quality"]
        trained = run(
            components.train_metrifier,
            **of_run,
            metrifier=metrifier,
            seed=seed,
            versions=of_all_shards("versions"),
            quality=quality,
        )
        model = trained.outputs["model"]
        judged = run(
            components.evaluate_spearman,
            **of_run,
            seed=seed,
            shards=shards,
            source=source,
            splits=splits,
            distortions=distortions,
            workers=workers,
            merge=merge,
            metrifier=metrifier,
            evaluation=evaluation,
            images=images,
            prepared=prepared,
            versions=of_all_shards("versions"),
            losses=of_all_shards("losses"),
            quality=quality,
            model=model,
        )
        registered = run(
            components.register_metrifier,
            **of_run,
            tracking=tracking,
            quality=quality,
            model=model,
            metrics=judged.outputs["metrics"],
            report=judged.outputs["report"],
            evaluated=judged.outputs["evaluated"],
        )

        return RunArtifacts(
            images=images,
            prepared=prepared,
            quality=quality,
            model=model,
            metrics=judged.outputs["metrics"],
            report=judged.outputs["report"],
            evaluated=judged.outputs["evaluated"],
            registered=registered.outputs["registered"],
            model_card=registered.outputs["model_card"],
        )

    return metrifier_pipeline
