"""The comparison of a run's folds as Markdown."""

from metrifier_core.report.formatting import in_markdown, sentence_case, words
from metrifier_core.report.ordering import judged_metrics
from metrifier_core.report.page import render_template
from metrifier_core.statistics import METRIFIER, FamiliesMetrics, Figure


def render_families(name: str, families: FamiliesMetrics) -> str:
    """Return the comparison of the families of workers that were held out one after another in a run.

    Returns:
        Markdown: on distortions seen and unseen in training, the metrifier for each family and the mean of every
        predictor over the families.
    """
    return render_template(
        "families_table.md.jinja",
        {"figure": _figure, "sentence": sentence_case, "words": words},
        name=name,
        families=families.families,
        mean=families.mean,
        metrics=judged_metrics(families.mean.seen.predictors[METRIFIER]),
        label_metrics=judged_metrics(families.mean.label),
        metrifier=METRIFIER,
    )


def _figure(figure: Figure) -> str:
    share = "" if figure.value is None or figure.share is None else f", {figure.share:.0%}"
    return in_markdown(figure) + share
