"""The champion of a registered model: its alias moves to a new version only if that is better."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mlflow import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"

_GATE_TAG = "gate"
_VERDICT_TAG = "metrifier.verdict"


class Verdict(NamedTuple):
    """The decision on a new version.

    Attributes:
        passed: Whether it becomes the champion.
        reason: Why, as a sentence.
        difference: New minus champion in global Spearman: `value`, `low`, `high`; empty without a comparison.
    """

    passed: bool
    reason: str
    difference: dict[str, float]


Challenge = Callable[[Callable[[], Path]], Verdict]
"""Compares the new metrifier with the champion; its argument downloads the champion and returns its folder."""


def decide(
    client: MlflowClient, model_name: str, version: str, challenge: Challenge, fetch: Callable[[str], Path]
) -> Verdict:
    """Make a new version the champion if it is better, and tag it with the verdict; a later call returns the same."""
    tags = client.get_model_version(model_name, version).tags
    champion = _champion(client, model_name)
    # The verdict is tagged before the alias moves, the gate after it: a registration that is killed in between keeps
    # its verdict. One that is killed before the alias moves is judged anew: the champion may have changed.
    if _VERDICT_TAG in tags and (_GATE_TAG in tags or champion == version):
        verdict = Verdict(**json.loads(tags[_VERDICT_TAG]))
    elif champion == version:
        verdict = Verdict(True, "it is the champion already", {})
    else:
        verdict = _judge(client, model_name, challenge, fetch)
        client.set_model_version_tag(model_name, version, _VERDICT_TAG, json.dumps(verdict._asdict()))
        if verdict.passed:
            client.set_registered_model_alias(model_name, CHAMPION, version)
    client.set_model_version_tag(model_name, version, _GATE_TAG, verdict.reason)
    return verdict


def _champion(client: MlflowClient, model_name: str) -> str | None:
    version = client.get_registered_model(model_name).aliases.get(CHAMPION)
    return None if version is None else str(version)  # a database returns a number


def _judge(client: MlflowClient, model_name: str, challenge: Challenge, fetch: Callable[[str], Path]) -> Verdict:
    while True:
        champion = _champion(client, model_name)
        if champion is None:
            verdict = Verdict(True, "the first version", {})
        else:
            verdict = challenge(partial(fetch, f"models:/{model_name}/{champion}"))
        # Another run, or a person, may have moved the alias during the comparison: that version is the one to beat.
        if _champion(client, model_name) == champion:
            return verdict
