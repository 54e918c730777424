"""What the metrics of a run amount to, in words."""

from collections.abc import Mapping
from typing import Any

from metrifier_core.report.formatting import decimal, interval, percent
from metrifier_core.report.ordering import best_first, first_target
from metrifier_core.statistics import BASELINES, IMAGE_ALONE, MEAN

__all__ = ["FIFTH", "reasons", "verdict"]

FIFTH = 0.2
"""The share of the versions whose discarding is told."""

Json = Mapping[str, Any]


def verdict(metrics: Json) -> str:
    """Say in one sentence how well the metrifier orders unseen images.

    It is better than a baseline where their 95 % intervals of the global correlation do not touch, and better than
    chance where its own is above 0.

    Args:
        metrics: As `ReportData.metrics`; of each target of `workers` the `global` correlation, of each baseline too.
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
    compared = _beside_the_blind(own, metrics["baselines"], target)
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
        The correlation with its interval and its ceiling, what a user who discards the worst images gains, the best
        baseline that knows more than the image, and unseen distortions; what is undefined is left out.
    """
    target = first_target(metrics["workers"])
    own = metrics["workers"][target]
    sentences = []
    if own["global"]["rho"] is not None:
        within = "" if own["global"]["low"] is None else f" (95\N{NO-BREAK SPACE}% interval {interval(own['global'])})"
        beside = "" if own["global"]["ceiling"] is None else f", the label's {decimal(own['global']['ceiling'])}"
        sentences.append(f"Its Spearman's rank correlation is {decimal(own['global']['rho'])}{within}{beside}.")
    sentences += _discards(metrics, own)
    for name, levels in best_first(metrics["baselines"], target).items():
        if name not in IMAGE_ALONE and levels["global"]["rho"] is not None:
            known = f" ({BASELINES[name]})" if name in BASELINES else ""
            reached = decimal(levels["global"]["rho"])
            sentences.append(f"Of the baselines that know more, {name}{known} is the best and reaches {reached}.")
            break
    if metrics["unseen_distortions"]:
        workers = metrics["unseen_distortions"]["workers"]
        unseen = workers[first_target(workers)]["global"]
        if unseen["rho"] is not None:
            share = "" if unseen["share"] is None else f", {percent(unseen['share'])} of the label's"
            sentences.append(f"On distortions that it was never trained on it reaches {decimal(unseen['rho'])}{share}.")
    return sentences


def _beside_the_blind(own: Json, baselines: Json, target: str) -> str:
    """Compares the metrifier with the baselines that know no more than it does, as the end of a sentence."""
    found = {name: baselines[name][target]["global"] for name in IMAGE_ALONE if name in baselines}
    rivals = {name: result for name, result in found.items() if result["rho"] is not None}
    if not rivals:
        return ""
    unbeaten = {name: rival for name, rival in rivals.items() if not _above(own, rival)}
    if not unbeaten:
        return ", better than every baseline that sees the image alone"
    ahead = {name: rival for name, rival in unbeaten.items() if _above(rival, own)}
    name, rival = max((ahead or unbeaten).items(), key=lambda item: item[1]["rho"])
    compared = "worse than" if ahead else "not shown to be better than"
    return f", {compared} {name}, which sees the image alone too and reaches {decimal(rival['rho'])}"


def _above(one: Json, other: Json) -> bool:
    return one["low"] is not None and other["high"] is not None and one["low"] > other["high"]


def _discards(metrics: Json, own: Json) -> list[str]:
    error = dict(zip(metrics["discarded"], own["discard"]["metrifier"]["error"], strict=True))
    before, after = error[0.0], error[FIFTH]
    if before is None or after is None:
        return []
    fifth = "the fifth of the versions that it scores lowest"
    if after < before:
        return [f"Without {fifth}, held-out workers err on {percent(after)} instead of {percent(before)}."]
    return [f"Without {fifth}, held-out workers err no less often: on {percent(after)}, before on {percent(before)}."]
