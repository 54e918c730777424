"""The pipeline of a config, which is the same on this machine, in containers and on a cluster."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kfp.dsl import HTML, Artifact, Dataset, Markdown, Metrics, Model

import components
from metrifier_core.config.run import RunConfig
from pipelines.graph.shards import JudgedShards, build_shard_pipeline, judge_shards
from pipelines.graph.site import Site


class RunArtifacts(NamedTuple):
    """Artifacts of a run; the metadata of `quality` names the shards' tables."""

    images: Dataset
    prepared: Model
    quality: Dataset
    model: Model
    metrics: Metrics
    report: HTML
    evaluated: Artifact
    registered: Artifact
    model_card: Markdown


class FamiliesArtifacts(NamedTuple):
    """Artifacts of a run that holds families out; the metadata of `metrics` names the files of each fold."""

    metrics: Metrics
    table: Markdown


def build_graph(config: RunConfig, site: Site) -> Any:
    """Build the pipeline of a config: one metrifier, or one for each family of workers that is held out.

    Args:
        config: Decides whether families are held out, and which; all else is a parameter of the pipeline.
        site: Where tasks run.

    Returns:
        A KFP pipeline, whose parameters are those of `config.pipeline_arguments()`.
    """
    families = config.held_out_families
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
        experiment: str,
        tracking: dict[str, Any],
    ) -> RunArtifacts | FamiliesArtifacts:
        """Train a metrifier and evaluate it on workers it has never met.

        Args:
            name: Name of the run.
            seed: Decides the order of splits, the versions, the workers that are trained here, and the training.
            shards: Number of branches that the source images are spread over.
            source: Where the images come from: kind, and what that kind needs.
            splits: How source images are split, a rule for each pattern of identities.
            distortions: Types, held-out types, severities and versions for each source image.
            workers: Label workers, held-out workers and their catalogue. Where families are held out one after the
                other, all are label workers.
            worker_groups: The names of all workers of `workers`, a list for those that share a task, since the graph
                cannot look into `workers`; change both together.
            merge: How the label workers' probabilities become one number.
            metrifier: Architecture and training.
            evaluation: How the metrifier is evaluated.
            experiment: MLflow experiment.
            tracking: Name of the registered model.
        """
        data = {"seed": seed, "shards": shards, "source": source, "splits": splits, "distortions": distortions}
        judging = {"merge": merge, "metrifier": metrifier, "evaluation": evaluation}
        sections: dict[str, Any] = {"name": name, **data, "workers": workers, **judging}
        opening = {"experiment": experiment, "tracking": tracking or {}, "families": families}
        with site.closing():
            judged = judge_shards(site, evaluate_shard, sections, worker_groups, opening)
            if families:
                return _compare(site, judged, sections, families)
            return _register(site, judged, sections, tracking)

    if families:
        description = "Trains and evaluates a metrifier for each family of workers that is held out."
        return site.pipeline(
            "metrifier-families", description, metrifier_pipeline, FamiliesArtifacts, without={"tracking"}
        )
    description = "Trains a metrifier and evaluates it on workers it has never met."
    return site.pipeline("metrifier", description, metrifier_pipeline, RunArtifacts)


def _train_and_evaluate(
    site: Site, judged: JudgedShards, sections: Mapping[str, Any], prepared: Any, held_out_family: str = ""
) -> dict[str, Any]:
    """Add the tasks from the label to the evaluation, and return their artifacts.

    The cards of the prepared workers have the roles of the fold.
    """
    fold = {"held_out_family": held_out_family} if held_out_family else {}
    quality = site.run(
        components.merge_dataset,
        **fold,
        distortions=sections["distortions"],
        merge=sections["merge"],
        rejected=judged.rejected,
        prepared=prepared,
        losses=judged.collect("losses"),
    ).outputs["quality"]
    model = site.run(
        components.train_metrifier,
        **fold,
        metrifier=sections["metrifier"],
        seed=sections["seed"],
        versions=judged.collect("versions"),
        quality=quality,
    ).outputs["model"]
    evaluation = site.run(
        components.evaluate_spearman,
        **fold,
        **sections,
        rejected=judged.rejected,
        prepared=prepared,
        versions=judged.collect("versions"),
        losses=judged.collect("losses"),
        quality=quality,
        model=model,
    ).outputs
    return {"quality": quality, "model": model, **{key: evaluation[key] for key in ("metrics", "report", "evaluated")}}


def _register(site: Site, judged: JudgedShards, sections: dict[str, Any], tracking: Any) -> RunArtifacts:
    fold = _train_and_evaluate(site, judged, sections, judged.prepared)
    registered = site.run(
        components.register_metrifier, tracking=tracking, versions=judged.collect("versions"), **fold
    ).outputs
    return RunArtifacts(images=judged.images, prepared=judged.prepared, **fold, **registered)


def _compare(site: Site, judged: JudgedShards, sections: dict[str, Any], families: Sequence[str]) -> FamiliesArtifacts:
    """Hold the families out one after the other: a KFP loop over them could not hold the collected shards."""
    compared: dict[str, Any] = {}
    for family in families:
        fold_workers = site.run(
            components.hold_out_family, workers=sections["workers"], family=family, prepared=judged.prepared
        ).outputs
        fold_sections = {**sections, "workers": fold_workers["Output"]}
        fold = _train_and_evaluate(site, judged, fold_sections, fold_workers["roles"], held_out_family=family)
        compared = site.run(
            components.compare_families,
            **sections,
            families=list(families),
            family=family,
            judged=fold["metrics"],
            evaluated=fold["evaluated"],
            **({"earlier": compared["metrics"]} if compared else {}),
        ).outputs
    return FamiliesArtifacts(compared["metrics"], compared["table"])
