"""The part of the graph that makes a metrifier and judges it, once in a run or once for every family held out."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kfp.dsl import PipelineTask

import components
from pipelines.shards import JudgedShards
from pipelines.site import Site

__all__ = ["Fold", "train_and_judge"]


class Fold(NamedTuple):
    """Artifacts of a metrifier that was judged.

    Attributes:
        quality: ImageNet_Quality.
        model: The metrifier.
        judged: The task that judged it.
    """

    quality: Any
    model: Any
    judged: PipelineTask


def train_and_judge(
    site: Site, of_run: Mapping[str, Any], judged_shards: JudgedShards, sections: Mapping[str, Any], prepared: Any
) -> Fold:
    """Adds the tasks from the label to the evaluation to the pipeline that is being built.

    Args:
        site: Where tasks run.
        of_run: What names the run, and the fold where there are several.
        judged_shards: Source images, versions and losses.
        sections: The config's seed, shards and sections, as parameters.
        prepared: The workers, whose cards say which of them make the label.

    Returns:
        The tasks' artifacts.
    """
    quality = site.run(
        components.merge_dataset,
        **of_run,
        distortions=sections["distortions"],
        merge=sections["merge"],
        rejected=judged_shards.rejected,
        prepared=prepared,
        losses=judged_shards.collect("losses"),
    ).outputs["quality"]
    model = site.run(
        components.train_metrifier,
        **of_run,
        metrifier=sections["metrifier"],
        seed=sections["seed"],
        versions=judged_shards.collect("versions"),
        quality=quality,
    ).outputs["model"]
    judged = site.run(
        components.evaluate_spearman,
        **of_run,
        **sections,
        rejected=judged_shards.rejected,
        prepared=prepared,
        versions=judged_shards.collect("versions"),
        losses=judged_shards.collect("losses"),
        quality=quality,
        model=model,
    )
    return Fold(quality, model, judged)
