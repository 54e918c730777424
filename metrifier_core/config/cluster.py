"""What each stage gets on a cluster: the config's section `cluster`, which a run on this machine passes over."""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from metrifier_core.settings.base import Settings, closest

# As Kubernetes takes them: a subdomain after RFC 1123, and a name with such a prefix.
_SUBDOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
_NAME = "[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"


def _shaped(pattern: str, expected: str) -> AfterValidator:
    """Refuses a text of another shape in a sentence."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"expected {expected} (got '{text}')")
        return text

    return AfterValidator(check)


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Cores = Annotated[
    str,
    BeforeValidator(_number_as_text),
    _shaped(r"(?![0.]+m?$)([0-9]+(\.[0-9]{1,3})?|[0-9]+m)", "cores above zero such as 4, 0.5 or 500m"),
]
Memory = Annotated[
    str,
    BeforeValidator(_number_as_text),
    _shaped("[1-9][0-9]*(Ki|[MGT]i?)", "a whole number and Ki, M, Mi, G, Gi, T or Ti, such as 1536Mi"),
]
Secret = Annotated[str, Field(max_length=253), _shaped(_SUBDOMAIN, "small letters, digits, - and . alone")]
# As a volume is named by its secret, too: without dots, and shorter.
MountedSecret = Annotated[
    str, Field(max_length=63), _shaped("[a-z0-9]([a-z0-9-]*[a-z0-9])?", "small letters, digits and -")
]
SecretKey = Annotated[str, Field(max_length=253), _shaped("[A-Za-z0-9._-]+", "letters, digits, -, _ and . alone")]
Resource = Annotated[str, _shaped(f"{_SUBDOMAIN}/{_NAME}", "a resource of nodes such as nvidia.com/gpu")]
Label = Annotated[str, _shaped(f"({_SUBDOMAIN}/)?{_NAME}", "a label such as pool or cloud.example/pool")]
LabelValue = Annotated[str, _shaped(f"({_NAME})?", "up to 63 letters, digits, -, _ and .")]
Variable = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]


class Toleration(Settings):
    """A taint of nodes that a stage may run on all the same, as Kubernetes has it."""

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
    """A key of a Kubernetes secret that stages find in a file."""

    secret: MountedSecret
    key: SecretKey

    @property
    def folder(self) -> str:
        """Where the secret is mounted."""
        return f"/var/run/secrets/metrifier/{self.secret}"

    @property
    def path(self) -> str:
        """The file."""
        return f"{self.folder}/{self.key}"


class StageSettings(Settings):
    """What a task of one stage asks for."""

    cpu: Cores = Field("1", description="cores that are requested, and threads that work on images")
    memory: Memory = Field("2Gi", description="requested, and the limit")
    accelerator: Resource | None = Field(None, description="resource name of what it is given, e.g. nvidia.com/gpu")
    accelerators: int | None = Field(None, ge=1, description="how many, 1 where left out; `accelerator` says of what")
    retries: int = Field(2, ge=0, le=10, description="after a failure, a minute later and then ever more slowly")
    timeout_minutes: int = Field(60 * 24, ge=1, description="after which a task counts as failed")
    cache: bool = Field(True, description="take up what an earlier run with the same inputs made")
    node_selector: dict[Label, LabelValue] = Field({}, description="labels that its node must have")
    tolerations: list[Toleration] = Field([], description="taints of nodes that it may run on")

    @property
    def threads(self) -> int:
        """Counts a thread a core; each holds images, and memory is limited, whatever cores the node has."""
        cores = int(self.cpu[:-1]) / 1000 if self.cpu.endswith("m") else float(self.cpu)
        return math.ceil(cores)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.accelerators is not None and self.accelerator is None:
            raise ValueError("accelerators: of what? name the resource in accelerator, such as nvidia.com/gpu")
        return self


# Measured on real images: evaluating eight workers takes half a gigabyte, training a multitap three; the rest is room
# for larger images, batches and networks.
STAGES: Mapping[str, StageSettings] = {
    # Its digest says of which images the cached `download` is; KFP alone would see the config and not them.
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
    # These complete a run that `list_source` opened; a second try goes on with what the first one made.
    "compare_families": StageSettings(timeout_minutes=60, cache=False),
    # A champion scores every test version.
    "register_metrifier": StageSettings(cpu="4", memory="4Gi", cache=False),
    "close_run": StageSettings(cache=False, timeout_minutes=30),
}
"""The stages, with what each gets where the config says nothing."""


class ClusterSettings(Settings):
    """Where and how the stages run on Kubernetes."""

    parallel_shards: int = Field(8, ge=1, le=1000, description="shards that are worked on at the same time")
    parallel_workers: int = Field(2, ge=1, le=100, description="groups of workers at the same time, in each of these")
    secrets: dict[Secret, dict[SecretKey, Variable]] = Field(
        {}, description="Kubernetes secrets that every stage sees: secret -> its key -> environment variable"
    )
    secret_files: dict[Variable, SecretFile] = Field(
        {}, description="the same for what is read from a file: environment variable that names it -> secret and key"
    )
    image_pull_secrets: list[Secret] = Field([], description="Kubernetes secrets for a private image registry")
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

    @model_validator(mode="after")
    def _check(self) -> Self:
        for secret, variables in self.secrets.items():
            for variable in variables.values():
                if variable in self.secret_files:
                    raise ValueError(f"secret_files.{variable}: secrets.{secret} gives this variable another value")
        return self
