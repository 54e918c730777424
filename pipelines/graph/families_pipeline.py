"""The graph that trains and judges once for every family of workers, held out while the others make the label."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from kfp.dsl import Markdown, Metrics

import components
from pipelines.graph.fold import train_and_judge
from pipelines.graph.shards import build_shard_pipeline, judge_shards
from pipelines.graph.site import Site


class FamiliesArtifacts(NamedTuple):
    """What comes out of a run; `metrics` names in its metadata what each family's fold left."""

    metrics: Metrics
    table: Markdown


def build_families_pipeline(families: Sequence[str], site: Site) -> Any:
    """Builds the pipeline.

    Args:
        families: What is held out, one after the other. They are part of the graph: a loop of KFP's cannot hold the
            collected shards of another.
        site: Where its tasks run.

    Returns:
        A KFP pipeline with the parameters of the usual one but `tracking`: no fold is registered.
    """
    evaluate_shard = build_shard_pipeline(site)

    def families_pipeline(
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
        experiment: str,
    ) -> FamiliesArtifacts:
        """Trains and judges a metrifier for every family of workers held out.

        Args:
            name: Names the run.
            seed: Decides splits' order, versions, workers that are trained here, and the training.
            shards: How many branches the source images are spread over.
            source: Where the images come from: kind, and what that kind needs.
            splits: How source images are shared out, a rule a pattern of identities.
            distortions: Types, held-out types, severities and versions a source image.
            workers: All workers as label workers, and their catalogue.
            worker_groups: The names of all workers of `workers`, a list for those that share a task, since the graph
                cannot look into it; change both together.
            merge: How the label workers' probabilities become one number.
            metrifier: Architecture and training.
            evaluation: How the metrifier is judged.
            experiment: MLflow experiment.
        """
        shared: dict[str, Any] = {
            "seed": seed,
            "shards": shards,
            "source": source,
            "splits": splits,
            "distortions": distortions,
        }
        judging = {"merge": merge, "metrifier": metrifier, "evaluation": evaluation}
        opening = {"name": name, "experiment": experiment, **judging, "tracking": {}, "families": list(families)}
        compared: dict[str, Any] = {}
        with site.closing():
            judged_shards = judge_shards(
                site, evaluate_shard, opening, **shared, workers=workers, worker_groups=worker_groups
            )
            sections = {**shared, **judging}
            for family in families:
                held_out = site.run(
                    components.hold_out_family, workers=workers, family=family, prepared=judged_shards.prepared
                )
                fold = train_and_judge(
                    site,
                    name,
                    judged_shards,
                    {**sections, "workers": held_out.outputs["Output"]},
                    held_out.outputs["roles"],
                    held_out_family=family,
                )
                # One after the other: only a loop's artifacts can be collected.
                compared = site.run(
                    components.compare_families,
                    name=name,
                    **sections,
                    workers=workers,
                    families=list(families),
                    family=family,
                    judged=fold.judged.outputs["metrics"],
                    evaluated=fold.judged.outputs["evaluated"],
                    **({"earlier": compared["metrics"]} if compared else {}),
                ).outputs
        return FamiliesArtifacts(metrics=compared["metrics"], table=compared["table"])

    description = "Trains and judges a metrifier for every family of workers held out."
    return site.pipeline("metrifier-families", description, families_pipeline)
