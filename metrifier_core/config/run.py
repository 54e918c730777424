"""The config of a run, read from YAML and validated as a whole before any work."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator

from metrifier_core.config.cluster import ClusterSettings
from metrifier_core.data.quality import MergeSettings
from metrifier_core.data.splits import NEEDED_SPLITS, SPLITS, SplitRule
from metrifier_core.distortions import DistortionSettings
from metrifier_core.settings.base import Settings, describe_mistakes
from metrifier_core.settings.yaml import read_yaml
from metrifier_core.sources import Source
from metrifier_core.training.settings import MetrifierSettings
from metrifier_core.workers import MiniatureSpec, WorkerSettings

MAX_SHARDS = 64
"""A task's command line names the tables of all shards, and Linux limits it to 128 KiB."""


class ConfigError(ValueError):
    """A config that cannot be run; the message has a line for each mistake, which names its key."""


class EvaluationSettings(Settings):
    """How a metrifier is evaluated."""

    bootstrap_replicates: int = Field(1000, ge=10, le=100_000)
    leave_one_family_out: bool = Field(
        False,
        description="train and evaluate once for each family of workers, held out while the others make the label",
    )


class TrackingSettings(Settings):
    """Where runs and models are in MLflow."""

    experiment: str = Field("metrifier", min_length=1)
    model_name: str = Field("metrifier", min_length=1, pattern="^[^/:]+$")
    uri: str | None = Field(None, description="MLflow server; by default the variable MLFLOW_TRACKING_URI")
    kubeflow: str | None = Field(None, description="address of Kubeflow's UI, for links from runs on a cluster")

    @field_validator("uri")
    @classmethod
    def _check_uri(cls, uri: str | None) -> str | None:
        if uri is not None and "@" in urlsplit(uri).netloc:
            raise ValueError("credentials belong in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
        return uri

    @field_validator("kubeflow")
    @classmethod
    def _check_kubeflow(cls, address: str | None) -> str | None:
        parts = urlsplit(address or "")
        if address and (parts.scheme not in {"http", "https"} or "@" in parts.netloc or parts.query or parts.fragment):
            raise ValueError("expected the address of Kubeflow's UI such as https://kubeflow.example, no user in it")
        return address


class RunConfig(Settings):
    """Everything that decides the results of a run."""

    name: str = Field(pattern="^[a-z0-9][a-z0-9._-]*$", description="names the folder runs/NAME")
    seed: int = Field(0, ge=0, lt=2**32)
    shards: int = Field(1, ge=1, le=MAX_SHARDS)
    source: Source
    splits: list[SplitRule] = Field(min_length=1)
    distortions: DistortionSettings = Field(default_factory=lambda: DistortionSettings.model_validate({}))
    workers: WorkerSettings
    merge: MergeSettings = MergeSettings()
    metrifier: MetrifierSettings = MetrifierSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    tracking: TrackingSettings = TrackingSettings()
    cluster: ClusterSettings = ClusterSettings()

    @model_validator(mode="after")
    def _check_splits(self) -> "RunConfig":
        shares = {split: max(getattr(rule, split) for rule in self.splits) for split in SPLITS}
        needed = list(NEEDED_SPLITS)
        if any(isinstance(spec, MiniatureSpec) for spec in self.workers.catalogue.values()):
            needed.append("worker_train")
        for split in needed:
            if shares[split] == 0:
                raise ValueError(f"splits: no rule gives '{split}' anything")
        return self

    @model_validator(mode="after")
    def _check_judges(self) -> "RunConfig":
        if self.evaluation.leave_one_family_out:
            if not self.workers.families[1:] or not self.held_out_families:
                raise ValueError(
                    "evaluation.leave_one_family_out: needs workers of two families, one of them not "
                    f"metrifier.backbone's; there are {', '.join(self.workers.families)}"
                )
            return self
        if not self.workers.held_out:
            raise ValueError("workers.held_out: name a worker that judges, or set evaluation.leave_one_family_out=true")
        backbone = self.metrifier.backbone
        for name in self.workers.held_out:
            if backbone is not None and self.workers.catalogue[name].family == backbone.family:
                raise ValueError(
                    f"metrifier.backbone: is of the family '{backbone.family}', as '{name}' in workers.held_out, "
                    "and cannot judge it"
                )
        return self

    @property
    def held_out_families(self) -> list[str]:
        """Return the families to hold out one after the other; the backbone's own family cannot judge it."""
        if not self.evaluation.leave_one_family_out:
            return []
        backbone = self.metrifier.backbone
        return [family for family in self.workers.families if backbone is None or family != backbone.family]

    def pipeline_arguments(self) -> dict[str, Any]:
        """Return the pipeline's parameters: sections, so that a stage is redone only if one of its own changes."""
        # Where tasks run is written into the graph.
        arguments = self.model_dump(mode="json", exclude_none=True, exclude={"cluster"})
        if self.evaluation.leave_one_family_out:
            # All are label workers, which see every version, since each makes the label of some fold.
            arguments["workers"] = self.workers.holding_out(None).model_dump(mode="json", exclude_none=True)
            del arguments["tracking"]
        # The graph cannot look into a section, so what it needs itself is a separate parameter.
        arguments["worker_groups"] = self.workers.groups
        arguments["experiment"] = self.tracking.experiment
        return arguments


def _override(values: dict[str, Any], assignment: str) -> None:
    """Apply one override `key.of.section=value`, whose value is YAML."""
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise ConfigError(f"'{assignment}': expected key=value, such as metrifier.epochs=3")
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{key}: '{section}' is not a section")
    try:
        values[last] = read_yaml(text)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from error


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read and validate a config.

    Args:
        path: A YAML file; paths in it are relative to its folder.
        overrides: `key=value` assignments that override the file, e.g. `metrifier.epochs=3`.

    Returns:
        The config, with worker entries inlined and paths absolute.

    Raises:
        ConfigError: The config is wrong; every mistake is named.
    """
    if not path.is_file():
        raise ConfigError(f"there is no config {path}")
    try:
        values = read_yaml(path)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no settings")
    return make_config(values, overrides, path.parent.resolve())


def make_config(values: dict[str, Any], overrides: Sequence[str], folder: Path) -> RunConfig:
    """Validate a config, as `load_config` does.

    Args:
        values: Its sections, which the overrides change in place.
        overrides: `key=value` assignments.
        folder: The folder of relative paths.

    Raises:
        ConfigError: The config is wrong; every mistake is named.
    """
    for assignment in overrides:
        _override(values, assignment)
    try:
        return RunConfig.model_validate(values, context={"folder": folder})
    except ValidationError as error:
        raise ConfigError(describe_mistakes(error)) from error
