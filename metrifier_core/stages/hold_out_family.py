"""hold_out_family: the same workers in the roles of one fold: one family judges, the others make the label."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metrifier_core.stages.running import Summary, stage
from metrifier_core.workers import WorkerSettings, read_cards


@stage
def hold_out_family(workers: Mapping[str, Any], family: str, prepared: Path, output: Path) -> Summary:
    """Give prepared workers the roles of a fold.

    Args:
        workers: The config's `workers`.
        family: The family that is held out of the labels.
        prepared: What `prepare_workers` wrote.
        output: Folder for the cards, which differ in the roles alone.

    Returns:
        family, and the fold's `workers`.

    Raises:
        ValueError: No worker belongs to that family, or all do.
    """
    settings = WorkerSettings.model_validate(workers).holding_out(family)
    output.mkdir(parents=True, exist_ok=True)
    for card in read_cards(prepared):
        role = "held-out" if card.name in settings.held_out else "label"
        card.model_copy(update={"role": role}).write(output)
    return {"family": family, "workers": settings.model_dump(mode="json", exclude_none=True)}
