"""The component that compares the folds of a run."""

from typing import Any

from kfp import dsl
from kfp.dsl import Artifact, Input, Markdown, Metrics, Output

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def compare_families(
    name: str,
    seed: int,
    shards: int,
    source: dict[str, Any],
    splits: list[Any],
    distortions: dict[str, Any],
    workers: dict[str, Any],
    merge: dict[str, Any],
    metrifier: dict[str, Any],
    evaluation: dict[str, Any],
    families: list[str],
    family: str,
    judged: Input[Metrics],
    evaluated: Input[Artifact],
    metrics: Output[Metrics],
    table: Output[Markdown],
    earlier: Input[Metrics] = None,  # the way in which KFP declares an optional input
) -> None:
    """Add one family to the comparison of the metrifiers, each evaluated on the family that was held out.

    Args:
        name: Name of the run.
        seed: The run's seed.
        shards: Number of shards.
        source: Where the images come from.
        splits: How source images are split.
        distortions: Types, severities and how many of them.
        workers: All workers and their catalogue.
        merge: How the label workers' probabilities become one number.
        metrifier: Architecture and training.
        evaluation: How the metrifiers are evaluated.
        families: All families that are held out; the last one completes the run.
        family: The family to add.
        judged: Metrics of its fold.
        evaluated: Names the files of its fold in its metadata.
        metrics: Each family's figures, and their mean.
        table: The same as Markdown.
        earlier: The comparison to add it to; none for the first family.
    """
    import json
    from pathlib import Path

    from metrifier_core.stages.compare_families import compare_families as run_stage
    from metrifier_core.statistics import FamiliesMetrics
    from metrifier_core.tracking import PipelineRun, complete_run, log_stage

    compared = FamiliesMetrics.model_validate_json(Path(earlier.path).read_bytes()).families if earlier else {}
    summary = run_stage(name, compared, family, Path(judged.path), Path(metrics.path), Path(table.path))
    for key, value in summary.items():
        metrics.log_metric(key, value)
    files = {**evaluated.metadata, "evaluated": evaluated.uri}
    folds = json.loads(earlier.metadata["folds"]) if earlier else {}
    metrics.metadata["folds"] = json.dumps({**folds, family: files})
    if family != families[-1]:
        return
    run = PipelineRun()
    log_stage(run, "compare_families", {"families": families}, summary)
    data = {"seed": seed, "shards": shards, "source": source, "splits": splits, "distortions": distortions}
    judging = {"workers": workers, "merge": merge, "metrifier": metrifier, "evaluation": evaluation}
    config = {"name": name, **data, **judging}
    documents = {"families.json": Path(metrics.path), "families.md": Path(table.path)}
    complete_run(run, config, summary, families, documents, Path(table.path))
