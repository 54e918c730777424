"""What the metrics of a run amount to, in words."""

from collections.abc import Mapping
from typing import Any

from metrifier_core.report.formatting import decimal, interval, percent
from metrifier_core.report.ordering import best_first, first_target
from metrifier_core.statistics import BASELINES, IMAGE_ALONE, MEAN

FIFTH = 0.2
"""The share of the versions whose discarding is told."""

Json = Mapping[str, Any]


def verdict(metrics: Json) -> str:
    """Say in one sentence how well the metrifier orders unseen images.

    It is better than a baseline where the 95 % interval of its lead in the global correlation lies above 0, and better
    than chance where that of the correlation does.

    Args:
        metrics: As `ReportData.metrics`; of each target of `workers` and of each baseline the `global` correlation, and
            the `leads`.
    """
    target = first_target(metrics["workers"])
    own = metrics["workers"][target]["global"]
    several = len(metrics["workers"].keys() - {MEAN}) > 1
    judges = "workers that it has never met" if several else "a worker that it has never met"
    if own["rho"] is None:
        return (
            f"This run cannot say how well the metrifier orders images for {judges}: "
            "their rank correlation is undefined."
        )
    if own["high"] is not None and own["high"] < 0:
        return f"The metrifier orders unseen images for {judges} the wrong way round."
    if own["rho"] <= 0 or (own["low"] is not None and own["low"] <= 0):
        return f"The metrifier is not shown to order unseen images for {judges} better than chance."
    compared = _beside_the_blind(metrics, target)
    if own["share"] is None:
        return f"The metrifier orders unseen images for {judges}, which the label itself does not{compared}."
    return (
        f"The metrifier orders unseen images for {judges} at {percent(own['share'])} of what the label itself "
        f"reaches{compared}."
    )


def reasons(metrics: Json) -> list[str]:
    """Say in short sentences what the verdict rests on.

    Args:
        metrics: As `ReportData.metrics`.

    Returns:
        The correlation with its interval and its ceiling, the lead over the best baseline that sees the image alone,
        what a user who discards the worst images gains, the best baseline that knows more, and unseen distortions; what
        is undefined is left out.
    """
    target = first_target(metrics["workers"])
    own = metrics["workers"][target]
    return [
        *_correlation(own["global"]),
        *_lead(metrics, target),
        *_discards(metrics, own),
        *_better_informed(metrics, target),
        *_unseen(metrics),
    ]


def _blind(metrics: Json, target: str) -> dict[str, Json]:
    """Picks the baselines that know no more than the metrifier does, the best first."""
    ordered = best_first(metrics["baselines"], target)
    return {name: found["global"] for name, found in ordered.items() if name in IMAGE_ALONE}


def _beside_the_blind(metrics: Json, target: str) -> str:
    """Compares the metrifier with what sees the image alone too, as the end of a sentence."""
    leads = metrics["leads"]
    rivals = {name: found["rho"] for name, found in _blind(metrics, target).items() if found["rho"] is not None}
    if not rivals:
        return ""
    unbeaten = [name for name in rivals if leads[name]["low"] is None or leads[name]["low"] <= 0]
    if not unbeaten:
        return ", better than every baseline that sees the image alone"
    ahead = [name for name in unbeaten if leads[name]["high"] is not None and leads[name]["high"] < 0]
    name = (ahead or unbeaten)[0]
    compared = "worse than" if ahead else "not shown to be better than"
    return f", {compared} {name}, which sees the image alone too and reaches {decimal(rivals[name])}"


def _correlation(own: Json) -> list[str]:
    if own["rho"] is None:
        return []
    within = "" if own["low"] is None else f" (95\N{NO-BREAK SPACE}% interval {interval(own)})"
    beside = "" if own["ceiling"] is None else f", the label's {decimal(own['ceiling'])}"
    return [f"Its Spearman's rank correlation is {decimal(own['rho'])}{within}{beside}."]


def _lead(metrics: Json, target: str) -> list[str]:
    for name in [*_blind(metrics, target)][:1]:
        lead = metrics["leads"][name]
        if lead["low"] is not None:
            leads = f"{decimal(lead['value'])} ({interval(lead)})"
            return [f"Its lead over {name}, the best baseline that sees the image alone, is {leads}."]
    return []


def _discards(metrics: Json, own: Json) -> list[str]:
    error = dict(zip(metrics["discarded"], own["discard"]["metrifier"]["error"], strict=True))
    before, after = error[0.0], error[FIFTH]
    if before is None or after is None:
        return []
    fifth = "the fifth of the versions that it scores lowest"
    if after < before:
        return [f"Without {fifth}, held-out workers err on {percent(after)} instead of {percent(before)}."]
    return [f"Without {fifth}, held-out workers err no less often: on {percent(after)}, before on {percent(before)}."]


def _better_informed(metrics: Json, target: str) -> list[str]:
    for name, found in best_first(metrics["baselines"], target).items():
        if name not in IMAGE_ALONE and found["global"]["rho"] is not None:
            known = f" ({BASELINES[name]})" if name in BASELINES else ""
            reached = decimal(found["global"]["rho"])
            return [f"Of the baselines that know more, {name}{known} is the best and reaches {reached}."]
    return []


def _unseen(metrics: Json) -> list[str]:
    if not metrics["unseen_distortions"]:
        return []
    workers = metrics["unseen_distortions"]["workers"]
    found = workers[first_target(workers)]["global"]
    if found["rho"] is None:
        return []
    share = "" if found["share"] is None else f", {percent(found['share'])} of the label's"
    return [f"On distortions that it was never trained on it reaches {decimal(found['rho'])}{share}."]
