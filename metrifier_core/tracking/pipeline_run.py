"""Which pipeline run a stage belongs to."""

import os
from dataclasses import dataclass

from metrifier_core.environment import RUN_ID_VARIABLE

__all__ = ["PipelineRun"]


@dataclass(frozen=True)
class PipelineRun:
    """The pipeline run that a stage belongs to.

    Attributes:
        name: What it is called in the UI.
        experiment: The MLflow experiment.
        held_out_family: Names the fold that the stage belongs to, where every family of workers is held out once.
        identity: What `id` is, where the environment is another one by now.
    """

    name: str
    experiment: str
    held_out_family: str = ""
    identity: str = ""

    @property
    def id(self) -> str:
        """Its identity over all stages and restarts: from the environment, since a stage's cache keys on its inputs."""
        return self.identity or os.environ.get(RUN_ID_VARIABLE, self.name)
