"""The folds of a run side by side."""

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
    earlier: Input[Metrics] = None,  # KFP has no other way to say optional
) -> None:
    """Adds one family to the comparison of what a metrifier reaches on each.

    Args:
        name: Name of the run.
        seed: The run's seed.
        shards: Number of shards.
        source: Where the images come from.
        splits: How source images are shared out.
        distortions: Types, severities and how many of them.
        workers: All workers and their catalogue.
        merge: How the label workers' probabilities become one number.
        metrifier: Architecture and training.
        evaluation: How the metrifiers are judged.
        families: All that are held out; the run is completed when the last of them is there.
        family: Which one is added.
        judged: The metrics of its fold.
        evaluated: Names the files of its fold.
        metrics: Each family's figures, and their mean.
        table: The same to look at.
        earlier: The comparison that it is added to; the first is added to none.
    """
    import json
    from pathlib import Path

    from metrifier_core.stages.compare_families import compare_families as run_stage
    from metrifier_core.tracking import PipelineRun, complete_run, log_stage

    compared = json.loads(Path(earlier.path).read_text())["families"] if earlier else {}
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
    config = {
        "name": name,
        "seed": seed,
        "shards": shards,
        "source": source,
        "splits": splits,
        "distortions": distortions,
        "workers": workers,
        "merge": merge,
        "metrifier": metrifier,
        "evaluation": evaluation,
    }
    documents = {"families.json": Path(metrics.path), "families.md": Path(table.path)}
    complete_run(run, config, summary, documents, Path(table.path))
