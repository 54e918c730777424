"""What each stage gets on a cluster: the config's section `cluster`, which a run on this machine passes over."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from metrifier_core.settings import Settings, closest

__all__ = ["STAGES", "ClusterSettings", "StageSettings", "Toleration"]

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?([KMGT]i?)?$")]
Cores = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?m?$")]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$")]
Variable = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]


class Toleration(Settings):
    """A taint of nodes that a stage may run on all the same, as Kubernetes has it."""

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class StageSettings(Settings):
    """What a task of one stage asks for."""

    cpu: Cores = Field("1", description="cores that are requested; more are used where the node has them")
    memory: Quantity = Field("2Gi", description="requested, and the limit")
    accelerator: Label | None = Field(None, description="resource name of what it is given, e.g. nvidia.com/gpu")
    accelerators: int = Field(1, ge=1, description="how many, where `accelerator` names one")
    retries: int = Field(2, ge=0, le=100, description="after a failure, a minute later and then ever more slowly")
    timeout_minutes: int = Field(60 * 24, ge=1, description="after which a task counts as failed")
    cache: bool = Field(True, description="take up what an earlier run with the same inputs made")
    node_selector: dict[Label, str] = Field({}, description="labels that its node must have")
    tolerations: list[Toleration] = Field([], description="taints of nodes that it may run on")


# Measured on real images: evaluating eight workers takes half a gigabyte, training a multitap three; the rest is room
# for larger images, batches and networks.
STAGES: Mapping[str, StageSettings] = {
    "download": StageSettings(cpu="2", memory="4Gi"),
    "prepare_workers": StageSettings(cpu="4", memory="8Gi"),
    "distort": StageSettings(cpu="4", memory="4Gi"),
    "worker_evaluate": StageSettings(cpu="4", memory="8Gi"),
    "join_losses": StageSettings(timeout_minutes=60),
    "hold_out_family": StageSettings(timeout_minutes=60),
    "merge_dataset": StageSettings(memory="4Gi", timeout_minutes=60 * 4),
    "train_metrifier": StageSettings(cpu="8", memory="16Gi", timeout_minutes=60 * 24 * 7),
    "evaluate_spearman": StageSettings(cpu="4", memory="8Gi"),
    "compare_families": StageSettings(timeout_minutes=60),
    # Registering twice would make two versions, and what stands in the registry changes from run to run.
    "register_metrifier": StageSettings(memory="4Gi", retries=0, cache=False, timeout_minutes=60),
    "close_run": StageSettings(cache=False, timeout_minutes=30),
}
"""The stages, with what each gets where the config says nothing."""


class ClusterSettings(Settings):
    """Where and how the stages run on Kubernetes."""

    parallel_shards: int = Field(8, ge=1, le=1000, description="shards that are worked on at the same time")
    parallel_workers: int = Field(2, ge=1, le=100, description="groups of workers at the same time, in each of these")
    secrets: dict[Label, dict[str, Variable]] = Field(
        {}, description="Kubernetes secrets that every stage sees: secret -> its key -> environment variable"
    )
    image_pull_secrets: list[Label] = Field([], description="Kubernetes secrets for a private image registry")
    stages: dict[str, StageSettings] = Field(dict(STAGES), description="by stage; what is left out stays as it is")

    @field_validator("stages", mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        for stage in given:
            if stage not in STAGES:
                raise ValueError(f"unknown stage '{stage}', {closest(str(stage), list(STAGES))}")
        complete: dict[str, Any] = {}
        for stage, default in STAGES.items():
            own = given.get(stage, {})
            own = own.model_dump() if isinstance(own, StageSettings) else own
            complete[stage] = {**default.model_dump(), **own} if isinstance(own, Mapping) else own
        return complete
