"""list_source: the images of a source, in a digest that decides whether a cached `download` is still valid."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from metrifier_core.config.run import RunConfig
from metrifier_core.settings.base import describe_mistakes
from metrifier_core.sources import list_items, listing_digest
from metrifier_core.stages.running import Summary, stage


@stage
def list_source(
    config: Mapping[str, Any], worker_groups: Sequence[Sequence[str]], held_out_families: Sequence[str]
) -> Summary:
    """List the images of a source without reading them.

    It is the first stage of every run on a cluster, where parameters may come from a form that checks nothing: it
    validates them before any work.

    Args:
        config: All sections of the config.
        worker_groups: The names of all workers, a list for those that share a task.
        held_out_families: The families that the graph holds out one after the other; they are no parameter.

    Returns:
        images (their number) and listing, a digest of what is known of each without reading it.

    Raises:
        ValueError: The parameters are no valid config or do not match the graph, or the source does not exist.
    """
    items = list_items(_validate(config, worker_groups, held_out_families).source)
    return {"images": len(items), "listing": listing_digest(items)}


def _validate(
    values: Mapping[str, Any], worker_groups: Sequence[Sequence[str]], held_out_families: Sequence[str]
) -> RunConfig:
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        mistakes = "; ".join(describe_mistakes(error).splitlines())
        raise ValueError(f"the run's parameters are wrong: {mistakes}") from error
    grouped = sorted(name for group in worker_groups for name in group)
    if grouped != sorted(config.workers.names):
        raise ValueError(
            f"the run's parameters are wrong: worker_groups has {', '.join(grouped) or 'none'}, and workers "
            f"{', '.join(sorted(config.workers.names))}: change both together"
        )
    if config.held_out_families != list(held_out_families):
        raise ValueError(
            "the run's parameters are wrong: evaluation.leave_one_family_out: they hold out "
            f"{', '.join(config.held_out_families) or 'no family'}, and the graph "
            f"{', '.join(held_out_families) or 'none'}: compile it again"
        )
    return config
