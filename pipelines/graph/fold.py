"""The part of the graph that makes a metrifier and judges it, once in a run or once for every family held out."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kfp.dsl import PipelineTask

import components
from pipelines.graph.shards import JudgedShards
from pipelines.graph.site import Site


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
    site: Site,
    name: str,
    judged_shards: JudgedShards,
    sections: Mapping[str, Any],
    prepared: Any,
    held_out_family: str = "",
) -> Fold:
    """Adds the tasks from the label to the evaluation to the pipeline that is being built.

    Args:
        site: Where tasks run.
        name: Name of the run, which the report bears.
        judged_shards: Source images, versions and losses.
        sections: The config's seed, shards and sections, as parameters.
        prepared: The workers, whose cards say which of them make the label.
        held_out_family: Names the fold where there are several.

    Returns:
        The tasks' artifacts.
    """
    fold = {"held_out_family": held_out_family} if held_out_family else {}
    quality = site.run(
        components.merge_dataset,
        **fold,
        distortions=sections["distortions"],
        merge=sections["merge"],
        rejected=judged_shards.rejected,
        prepared=prepared,
        losses=judged_shards.collect("losses"),
    ).outputs["quality"]
    model = site.run(
        components.train_metrifier,
        **fold,
        metrifier=sections["metrifier"],
        seed=sections["seed"],
        versions=judged_shards.collect("versions"),
        quality=quality,
    ).outputs["model"]
    judged = site.run(
        components.evaluate_spearman,
        name=name,
        **fold,
        **sections,
        rejected=judged_shards.rejected,
        prepared=prepared,
        versions=judged_shards.collect("versions"),
        losses=judged_shards.collect("losses"),
        quality=quality,
        model=model,
    )
    return Fold(quality, model, judged)
