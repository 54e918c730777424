"""compare_families: what the folds of a run found, side by side, and their mean over the families."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metrifier_core.report.families_table import render_families
from metrifier_core.stages.running import Summary, stage
from metrifier_core.statistics import LEVELS, METRIFIER, average_folds, summarize_fold


@stage
def compare_families(
    name: str, earlier: Mapping[str, Mapping[str, Any]], family: str, judged: Path, metrics: Path, table: Path
) -> Summary:
    """Adds the fold of one family to the comparison.

    Args:
        name: Name of the run.
        earlier: The families that are compared already, as in the file of metrics.
        family: The one to add.
        judged: The metrics of its fold as JSON.
        metrics: File for all of it as JSON: `families` and `mean`.
        table: File for the comparison as Markdown.

    Returns:
        families (how many), and the headline metrics: each `mean_LEVEL_rho` and `mean_LEVEL_share`, `mean_auroc` and
        `calibration_error`, means over the families; and each family's `FAMILY_LEVEL_rho`.
    """
    folds = {**earlier, family: summarize_fold(json.loads(judged.read_text()))}
    mean = average_folds(list(folds.values()))
    found = {"families": folds, "mean": mean}
    for path in (metrics, table):
        path.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text(json.dumps(found, indent=2) + "\n")
    table.write_text(render_families(name, found), encoding="utf-8")
    own = mean["seen"]["predictors"][METRIFIER]
    headline = {f"mean_{level}_rho": own[level]["value"] for level in LEVELS}
    headline |= {f"mean_{level}_share": own[level]["share"] for level in LEVELS}
    headline |= {"mean_auroc": own["auroc"]["value"], "calibration_error": mean["calibration_error"]}
    for name_of, fold in folds.items():
        by_figure = fold["seen"]["predictors"][METRIFIER]
        headline |= {f"{name_of}_{level}_rho": by_figure[level]["value"] for level in LEVELS}
    return {"families": len(folds), **{key: value for key, value in headline.items() if value is not None}}
