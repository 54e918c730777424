"""The graph: which stage feeds which. The same object runs here, in containers and on a cluster."""

from typing import Any, NamedTuple

from kfp.dsl import HTML, Artifact, Dataset, Markdown, Metrics, Model

import components
from pipelines.graph.fold import train_and_judge
from pipelines.graph.shards import build_shard_pipeline, judge_shards
from pipelines.graph.site import Site

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


def build_pipeline(site: Site) -> Any:
    """Builds the pipeline.

    Args:
        site: Where its tasks run.

    Returns:
        A KFP pipeline; its parameters are the sections of a config, and its artifacts hang on its tasks.
    """
    evaluate_shard = build_shard_pipeline(site)

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
        shared: dict[str, Any] = {
            "seed": seed,
            "shards": shards,
            "source": source,
            "splits": splits,
            "distortions": distortions,
            "workers": workers,
        }
        judging = {"merge": merge, "metrifier": metrifier, "evaluation": evaluation}
        opening = {"name": name, "experiment": experiment, **judging, "tracking": tracking, "families": []}
        with site.closing():
            judged_shards = judge_shards(site, evaluate_shard, opening, **shared, worker_groups=worker_groups)
            sections = {**shared, **judging}
            fold = train_and_judge(site, name, judged_shards, sections, judged_shards.prepared)
            found = {key: fold.judged.outputs[key] for key in ("metrics", "report", "evaluated")}
            registered = site.run(
                components.register_metrifier,
                tracking=tracking,
                versions=judged_shards.collect("versions"),
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

    description = "Trains a metrifier and judges it by workers it has never met."
    return site.pipeline(PIPELINE_NAME, description, metrifier_pipeline)
