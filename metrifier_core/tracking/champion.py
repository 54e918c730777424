"""Which version is the champion: they are judged in the order of their numbers, however many runs end at once."""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from metrifier_core.execution.progress import say

CHAMPION, CHALLENGER = "champion", "challenger"

_GATE_TAG = "gate"
_VERDICT_TAG = "metrifier.verdict"


class Verdict(NamedTuple):
    """What is decided of a new version.

    Attributes:
        passed: Whether it takes the champion's place.
        reason: Why, a sentence.
        difference: New minus champion, global Spearman: `value`, `low`, `high`; empty where there was no comparison.
    """

    passed: bool
    reason: str
    difference: dict[str, float]


class Patience(NamedTuple):
    """How long a version waits for those before it, which other runs have registered and not decided yet.

    Attributes:
        seconds: At most, since such a version was made: its run may have been killed and stand as running for ever.
        interval: Between two looks, seconds.
    """

    seconds: float = 20 * 60
    interval: float = 5


Challenge = Callable[[Callable[[], Path]], Verdict]
"""Compares the new metrifier with the champion, which it is given a way to fetch."""


def decide(
    client: MlflowClient,
    model_name: str,
    version: str,
    challenge: Challenge,
    fetch: Callable[[str], Path],
    patience: Patience,
) -> Verdict:
    """Makes a new version the champion where it passes, and notes on it why or why not.

    Args:
        client: MLflow.
        model_name: Name in the registry.
        version: The new one.
        challenge: Compares it with the champion.
        fetch: Fetches a registered metrifier by its URI.
        patience: How long the versions before it are waited for.

    Returns:
        What is decided; of a version that was decided before, the same again.
    """
    tags = client.get_model_version(model_name, version).tags
    holder = _champion(client, model_name)
    # The verdict is noted before the alias moves, the gate's tag after it: a registration that is killed between them
    # finds what it had compared, and others wait for it. One that is killed before the alias moves is judged anew,
    # since by then another may be the champion.
    if _VERDICT_TAG in tags and (_GATE_TAG in tags or holder == version):
        verdict = Verdict(**json.loads(tags[_VERDICT_TAG]))
    elif holder == version:
        verdict = Verdict(True, "it is the champion already", {})
    else:
        undecided = _await_earlier(client, model_name, version, patience)
        verdict = _judge(client, model_name, challenge, fetch)
        if undecided:
            numbers = f"version{'s' if undecided[1:] else ''} {', '.join(undecided)}"
            verdict = verdict._replace(reason=f"{verdict.reason}; {numbers} was waited for and is still undecided")
        client.set_model_version_tag(model_name, version, _VERDICT_TAG, json.dumps(verdict._asdict()))
        if verdict.passed:
            client.set_registered_model_alias(model_name, CHAMPION, version)
    client.set_model_version_tag(model_name, version, _GATE_TAG, verdict.reason)
    return verdict


def _champion(client: MlflowClient, model_name: str) -> str | None:
    found = client.get_registered_model(model_name).aliases.get(CHAMPION)
    return None if found is None else str(found)  # a number, from a database


def _judge(client: MlflowClient, model_name: str, challenge: Challenge, fetch: Callable[[str], Path]) -> Verdict:
    while True:
        holder = _champion(client, model_name)
        if holder is None:
            verdict = Verdict(True, "the first version", {})
        else:
            verdict = challenge(partial(fetch, f"models:/{model_name}/{holder}"))
        # Somebody may have moved the alias by hand, or without more waiting: that version is the one to beat.
        if _champion(client, model_name) == holder:
            return verdict


def _await_earlier(client: MlflowClient, model_name: str, version: str, patience: Patience) -> list[str]:
    """Waits until the versions before one are decided; gives those that still are not."""
    begun, told = time.monotonic(), False
    while True:
        undecided = _undecided(client, model_name, version)
        recent = [each for each in undecided if time.time() - each.creation_timestamp / 1000 < patience.seconds]
        numbers = [str(each.version) for each in undecided]
        if not recent or time.monotonic() - begun >= patience.seconds:
            return numbers
        if not told:
            say(f"{model_name} version {version}: waits until version {', '.join(numbers)} is decided")
            told = True
        time.sleep(patience.interval)


def _undecided(client: MlflowClient, model_name: str, version: str) -> list[Any]:
    """Finds the versions between the champion and a new one that the runs which registered them will yet decide."""
    after = int(_champion(client, model_name) or 0)
    quote = '"' if "'" in model_name else "'"
    found = [
        each
        for each in client.search_model_versions(f"name = {quote}{model_name}{quote}")
        if after < int(each.version) < int(version) and _GATE_TAG not in each.tags and _is_running(client, each.run_id)
    ]
    return sorted(found, key=lambda each: int(each.version))


def _is_running(client: MlflowClient, run_id: str | None) -> bool:
    if not run_id:
        return False  # registered by hand
    try:
        info = client.get_run(run_id).info
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return False
    return bool(info.status == "RUNNING" and info.lifecycle_stage == "active")
