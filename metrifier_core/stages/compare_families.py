"""compare_families: the folds of a run side by side, and their mean over the families."""

from collections.abc import Mapping
from pathlib import Path

from metrifier_core.report.families_table import render_families
from metrifier_core.stages.running import Summary, stage
from metrifier_core.statistics import (
    MEAN,
    METRIFIER,
    FamiliesMetrics,
    Fold,
    Metrics,
    average_folds,
    name_figures,
    summarize_fold,
)


@stage
def compare_families(
    name: str, earlier: Mapping[str, Fold], family: str, judged: Path, metrics: Path, table: Path
) -> Summary:
    """Add the fold of one family to the comparison.

    Args:
        name: Name of the run.
        earlier: Folds of the families that are compared already.
        family: The family to add.
        judged: The metrics of its fold as JSON.
        metrics: File for the comparison as JSON.
        table: File for the comparison as Markdown.

    Returns:
        families (how many), and the headline metrics: `mean_METRIC`, `mean_METRIC_share` and METRIC, the means over the
        families, and `FAMILY_METRIC` of each family.
    """
    folds = {**earlier, family: summarize_fold(Metrics.model_validate_json(judged.read_bytes()))}
    compared = FamiliesMetrics(families=folds, mean=average_folds(list(folds.values())))
    for path in (metrics, table):
        path.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text(compared.model_dump_json(indent=2) + "\n")
    table.write_text(render_families(name, compared), encoding="utf-8")
    summary: Summary = {
        "families": len(folds),
        **name_figures(compared.mean.seen.predictors[METRIFIER], MEAN, ("value", "share")),
        **name_figures(compared.mean.label, "", ("value",)),
    }
    for other, fold in folds.items():
        summary |= name_figures(fold.seen.predictors[METRIFIER], other, ("value",))
    return summary
