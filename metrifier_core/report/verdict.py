"""What the metrics of a run amount to, in words."""

from metrifier_core.report.formatting import decimal, interval, percent
from metrifier_core.report.ordering import best_first, first_target
from metrifier_core.statistics import BASELINES, HEADLINE, IMAGE_ALONE, MEAN, METRIFIER, Figure, Judgement, Metrics

FIFTH = 0.2
"""The share of discarded versions that the report tells of."""


def verdict(metrics: Metrics) -> str:
    """Return one sentence on how well the metrifier ranks unseen images.

    It is better than a baseline where the 95 % interval of its margin in `HEADLINE` lies above 0, and better than
    chance where that of `HEADLINE` does.
    """
    figure = metrics.workers[first_target(metrics.workers)][HEADLINE]
    judges = "workers it has never met" if len(metrics.workers.keys() - {MEAN}) > 1 else "a worker it has never met"
    ranks = f"ranks unseen images for {judges}"
    if figure.value is None:
        return f"This run cannot tell how well the metrifier {ranks}: the rank correlation is undefined."
    if figure.high is not None and figure.high < 0:
        return f"The metrifier {ranks} in the wrong order."
    if figure.value <= 0 or (figure.low is not None and figure.low <= 0):
        return f"This run does not show that the metrifier {ranks} better than chance."
    if figure.share is None:
        return f"The metrifier {ranks}, which the label itself does not{_rivals(metrics)}."
    return f"The metrifier {ranks} at {percent(figure.share)} of what the label itself reaches{_rivals(metrics)}."


def reasons(metrics: Metrics) -> list[str]:
    """Return short sentences on what the verdict rests on.

    They tell the correlation with its interval and its ceiling, the margin over the best baseline that sees only the
    image, what discarding the worst images gains, the best baseline that knows more, and the result on unseen
    distortions; undefined numbers are left out.
    """
    target = first_target(metrics.workers)
    return [
        *_correlation(metrics.workers[target][HEADLINE]),
        *_margin(metrics, target),
        *_discard(metrics, target),
        *_better_informed(metrics, target),
        *_unseen(metrics.unseen_distortions),
    ]


def _of_baselines(metrics: Judgement, target: str, *, image_alone: bool) -> dict[str, Figure]:
    """Return the `HEADLINE` of the baselines that know as much as the metrifier, or of those that know more."""
    ordered = best_first(metrics.baselines, target)
    return {name: figures[HEADLINE] for name, figures in ordered.items() if (name in IMAGE_ALONE) == image_alone}


def _rivals(metrics: Metrics) -> str:
    """Return how the metrifier compares with the baselines that see only the image, as the end of a sentence."""
    blind = _of_baselines(metrics, first_target(metrics.workers), image_alone=True)
    rivals = {name: figure.value for name, figure in blind.items() if figure.value is not None}
    margins = {name: metrics.margins[name][HEADLINE] for name in rivals}
    unbeaten = [name for name, margin in margins.items() if margin.low is None or margin.low <= 0]
    ahead = [name for name in unbeaten if (high := margins[name].high) is not None and high < 0]
    if not unbeaten:
        return ", better than every baseline that sees only the image" if rivals else ""
    name = (ahead or unbeaten)[0]
    compared = "worse than" if ahead else "not shown to be better than"
    return f", {compared} {name}, which also sees only the image and reaches {decimal(rivals[name])}"


def _correlation(figure: Figure) -> list[str]:
    if figure.value is None:
        return []
    within = "" if figure.low is None else f" (95\N{NO-BREAK SPACE}% interval {interval(figure)})"
    beside = "" if figure.ceiling is None else f"; the label reaches {decimal(figure.ceiling)}"
    return [f"Its Spearman rank correlation is {decimal(figure.value)}{within}{beside}."]


def _margin(metrics: Metrics, target: str) -> list[str]:
    name = next(iter(_of_baselines(metrics, target, image_alone=True)), None)
    margin = None if name is None else metrics.margins[name][HEADLINE]
    if margin is None or margin.low is None:
        return []
    number = f"{decimal(margin.value)} ({interval(margin)})"
    return [f"Its margin over {name}, the best baseline that sees only the image, is {number}."]


def _discard(metrics: Metrics, target: str) -> list[str]:
    error = dict(zip(metrics.discarded, metrics.discard[target][METRIFIER], strict=True))
    before, after = error[0.0].value, error[FIFTH].value
    if before is None or after is None:
        return []
    discarding = "Discarding the fifth of the versions with the lowest scores"
    if after < before:
        return [f"{discarding} lowers the held-out workers' error rate from {percent(before)} to {percent(after)}."]
    compared = f"it is {percent(before)} before and {percent(after)} after"
    return [f"{discarding} does not lower the held-out workers' error rate: {compared}."]


def _better_informed(metrics: Metrics, target: str) -> list[str]:
    for name, figure in _of_baselines(metrics, target, image_alone=False).items():
        if figure.value is not None:
            known = f" ({BASELINES[name]})" if name in BASELINES else ""
            return [f"The best baseline that knows more, {name}{known}, reaches {decimal(figure.value)}."]
    return []


def _unseen(judged: Judgement | None) -> list[str]:
    figure = None if judged is None else judged.workers[first_target(judged.workers)][HEADLINE]
    if figure is None or figure.value is None:
        return []
    share = "" if figure.share is None else f", {percent(figure.share)} of the label's"
    return [f"On distortions unseen in training it reaches {decimal(figure.value)}{share}."]
