"""Which pipeline run a stage belongs to."""

import os
from dataclasses import dataclass

from metrifier_core.settings.environment import RUN_ID_VARIABLE


@dataclass(frozen=True)
class PipelineRun:
    """The pipeline run that a stage belongs to.

    Who opens it knows its name; a stage, whose cache keys on its inputs, knows its identity alone.

    Attributes:
        name: What it is called in the UI where it is not there yet.
        experiment: The MLflow experiment that it is in; where None, the one that it was opened in.
        held_out_family: Names the fold that the stage belongs to, where every family of workers is held out once.
        identity: What `id` is, where the environment is another one by now.
    """

    name: str = "metrifier"
    experiment: str | None = None
    held_out_family: str = ""
    identity: str = ""

    @property
    def id(self) -> str:
        """Its identity over all stages and restarts, from the environment."""
        return self.identity or os.environ.get(RUN_ID_VARIABLE, self.name)
