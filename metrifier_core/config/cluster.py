"""The config's section `cluster`: what each stage gets on Kubernetes; a run on this machine ignores it."""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from metrifier_core.settings.base import Settings, closest

# Kubernetes refuses other names when a pod is made, and neither kfp nor its compiler checks them: a subdomain after
# RFC 1123, and the name of a label or a resource, which may have such a prefix.
_SUBDOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
_NAME = "[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"


def _matches(pattern: str, expected: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"expected {expected} (got '{text}')")
        return text

    return AfterValidator(check)


_NumberAsText = BeforeValidator(
    lambda value: str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
)
_CORES = r"(?![0.]+m?$)([0-9]+(\.[0-9]{1,3})?|[0-9]+m)"

Cores = Annotated[str, _NumberAsText, _matches(_CORES, "cores above zero such as 4, 0.5 or 500m")]
Memory = Annotated[
    str,
    _NumberAsText,
    _matches("[1-9][0-9]*(Ki|[MGT]i?)", "a whole number and Ki, M, Mi, G, Gi, T or Ti, such as 1536Mi"),
]
Secret = Annotated[str, Field(max_length=253), _matches(_SUBDOMAIN, "small letters, digits, - and . alone")]
# It names a volume, too: shorter, and without dots.
MountedSecret = Annotated[
    str, Field(max_length=63), _matches("[a-z0-9]([a-z0-9-]*[a-z0-9])?", "small letters, digits and -")
]
SecretKey = Annotated[str, Field(max_length=253), _matches("[A-Za-z0-9._-]+", "letters, digits, -, _ and . alone")]
Resource = Annotated[str, _matches(f"{_SUBDOMAIN}/{_NAME}", "a resource of nodes such as nvidia.com/gpu")]
Label = Annotated[str, _matches(f"({_SUBDOMAIN}/)?{_NAME}", "a label such as pool or cloud.example/pool")]
LabelValue = Annotated[str, _matches(f"({_NAME})?", "up to 63 letters, digits, -, _ and .")]
Variable = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]


class Toleration(Settings):
    """A taint of nodes that a stage tolerates, with Kubernetes' own keys."""

    key: Label | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.operator == "Exists" and self.value:
            raise ValueError("value: operator Exists takes any: leave it out, or set operator to Equal")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("key: is missing; without one every taint is tolerated, for which operator is Exists")
        return self


class SecretFile(Settings):
    """A key of a Kubernetes secret that stages read from a file."""

    secret: MountedSecret
    key: SecretKey

    @property
    def folder(self) -> str:
        """Return where the secret is mounted."""
        return f"/var/run/secrets/metrifier/{self.secret}"

    @property
    def path(self) -> str:
        """Return the path of the file."""
        return f"{self.folder}/{self.key}"


class StageSettings(Settings):
    """What a task of one stage gets."""

    cpu: Cores = Field("1", description="cores that are requested, and threads that work on images")
    memory: Memory = Field("2Gi", description="requested, and the limit")
    accelerator: Resource | None = Field(None, description="resource of nodes, e.g. nvidia.com/gpu")
    accelerators: int | None = Field(
        None, ge=1, description="how many, 1 if left out; `accelerator` names the resource"
    )
    retries: int = Field(2, ge=0, le=10, description="after a failure, with a pause of a minute that doubles")
    timeout_minutes: int = Field(60 * 24, ge=1, description="after which a task fails")
    cache: bool = Field(True, description="reuse the results of an earlier run with the same inputs")
    node_selector: dict[Label, LabelValue] = Field({}, description="labels that its node must have")
    tolerations: list[Toleration] = Field([], description="taints of nodes that it tolerates")

    @property
    def threads(self) -> int:
        """Return a thread for each core; a thread holds images, and memory is limited however many cores a node has."""
        return math.ceil(int(self.cpu[:-1]) / 1000 if self.cpu.endswith("m") else float(self.cpu))

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.accelerators is not None and self.accelerator is None:
            raise ValueError("accelerators: of what? name the resource in accelerator, such as nvidia.com/gpu")
        return self


# Measured on real images: evaluating eight workers takes half a gigabyte, training a multitap three; the rest is room
# for larger images, batches and networks.
STAGES: Mapping[str, StageSettings] = {
    # Not cached: its digest decides whether the cached `download` is of the same images, which KFP cannot see.
    "list_source": StageSettings(memory="4Gi", cache=False),
    "download": StageSettings(cpu="2", memory="4Gi"),
    "prepare_workers": StageSettings(cpu="4", memory="8Gi"),
    "distort": StageSettings(cpu="4", memory="4Gi"),
    "worker_evaluate": StageSettings(cpu="4", memory="8Gi"),
    "join_losses": StageSettings(timeout_minutes=60),
    "hold_out_family": StageSettings(timeout_minutes=60),
    "merge_dataset": StageSettings(memory="4Gi", timeout_minutes=60 * 4),
    "train_metrifier": StageSettings(cpu="8", memory="16Gi", timeout_minutes=60 * 24 * 7),
    "evaluate_spearman": StageSettings(cpu="4", memory="8Gi"),
    # Not cached: these complete the run that `list_source` opened. A retry resumes what the first try made.
    "compare_families": StageSettings(timeout_minutes=60, cache=False),
    # The champion scores every test version.
    "register_metrifier": StageSettings(cpu="4", memory="4Gi", cache=False),
    "close_run": StageSettings(cache=False, timeout_minutes=30),
}
"""The stages, with what each gets by default."""


class ClusterSettings(Settings):
    """Where and how the stages run on Kubernetes."""

    parallel_shards: int = Field(8, ge=1, le=1000, description="shards at the same time")
    parallel_workers: int = Field(2, ge=1, le=100, description="groups of workers at the same time, in each shard")
    secrets: dict[Secret, dict[SecretKey, Variable]] = Field(
        {}, description="Kubernetes secrets that every stage sees: secret -> its key -> environment variable"
    )
    secret_files: dict[Variable, SecretFile] = Field(
        {}, description="secrets that are read from a file: environment variable that names the file -> secret and key"
    )
    image_pull_secrets: list[Secret] = Field([], description="Kubernetes secrets for a private image registry")
    stages: dict[str, StageSettings] = Field(dict(STAGES), description="by stage; what is left out has its default")

    @field_validator("stages", mode="before")
    @classmethod
    def _add_defaults(cls, stages: Any) -> Any:
        if not isinstance(stages, Mapping):
            return stages
        complete: dict[str, Any] = dict(STAGES)
        for stage, settings in stages.items():
            if stage not in STAGES:
                raise ValueError(f"unknown stage '{stage}', {closest(str(stage), list(STAGES))}")
            complete[stage] = STAGES[stage].model_dump() | settings if isinstance(settings, dict) else settings
        return complete

    @model_validator(mode="after")
    def _check(self) -> Self:
        for secret, variables in self.secrets.items():
            for variable in variables.values():
                if variable in self.secret_files:
                    raise ValueError(f"secret_files.{variable}: secrets.{secret} gives this variable another value")
        return self
