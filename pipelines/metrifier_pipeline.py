"""The graph: which stage feeds which. The same object runs here, in containers and on a cluster."""

from typing import Any, NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Markdown, Metrics, Model

import components
from components.image import DEFAULT_IMAGE
from pipelines.fold import train_and_judge
from pipelines.shards import bind_tasks, build_shard_pipeline, judge_shards

__all__ = ["PIPELINE_NAME", "build_pipeline"]

PIPELINE_NAME = "metrifier"


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
    run = bind_tasks(image, tracking_uri)
    evaluate_shard = build_shard_pipeline(run)

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
        shared: dict[str, Any] = {
            "seed": seed,
            "shards": shards,
            "source": source,
            "splits": splits,
            "distortions": distortions,
            "workers": workers,
        }
        judged_shards = judge_shards(run, evaluate_shard, of_run, **shared, worker_groups=worker_groups)
        sections = {**shared, "merge": merge, "metrifier": metrifier, "evaluation": evaluation}
        fold = train_and_judge(run, of_run, judged_shards, sections, judged_shards.prepared)
        found = {key: fold.judged.outputs[key] for key in ("metrics", "report", "evaluated")}
        registered = run(
            components.register_metrifier,
            **of_run,
            tracking=tracking,
            quality=fold.quality,
            model=fold.model,
            **found,
        )
        return RunArtifacts(
            images=judged_shards.images,
            prepared=judged_shards.prepared,
            quality=fold.quality,
            model=fold.model,
            **found,
            registered=registered.outputs["registered"],
            model_card=registered.outputs["model_card"],
        )

    return metrifier_pipeline
