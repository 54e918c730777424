"""The config of a run: read from YAML, validated whole before any work."""

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
"""Tasks are told on one command line where the tables of all shards are, and Linux limits it to 128 KiB."""


class ConfigError(ValueError):
    """A config that cannot be run; the message has a line a mistake, each naming its key."""


class EvaluationSettings(Settings):
    """How a metrifier is judged."""

    bootstrap_replicates: int = Field(1000, ge=10, le=100_000)
    leave_one_family_out: bool = Field(
        False, description="train and judge once for every family of workers, held out while the others make the label"
    )


class TrackingSettings(Settings):
    """Where runs and models stand in MLflow."""

    experiment: str = Field("metrifier", min_length=1)
    model_name: str = Field("metrifier", min_length=1, pattern="^[^/:]+$")
    uri: str | None = Field(None, description="MLflow server; the variable MLFLOW_TRACKING_URI where left out")
    kubeflow: str | None = Field(None, description="address of Kubeflow's UI, which runs on a cluster then link to")

    @field_validator("uri")
    @classmethod
    def _hold_no_secret(cls, uri: str | None) -> str | None:
        if uri is not None and "@" in urlsplit(uri).netloc:
            raise ValueError("credentials belong in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
        return uri

    @field_validator("kubeflow")
    @classmethod
    def _lead_to_a_page(cls, address: str | None) -> str | None:
        parts = urlsplit(address or "")
        if address and (parts.scheme not in {"http", "https"} or "@" in parts.netloc or parts.query or parts.fragment):
            raise ValueError("expected the address of Kubeflow's UI such as https://kubeflow.example, no user in it")
        return address


class RunConfig(Settings):
    """Everything that decides what a run makes."""

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
        if not self.evaluation.leave_one_family_out:
            if not self.workers.held_out:
                raise ValueError(
                    "workers.held_out: name a worker that judges, or set evaluation.leave_one_family_out=true"
                )
        elif not self.workers.families[1:] or not self.held_out_families:
            families = ", ".join(self.workers.families)
            raise ValueError(
                "evaluation.leave_one_family_out: needs workers of two families, one of them not metrifier.backbone's; "
                f"there are {families}"
            )
        return self

    @model_validator(mode="after")
    def _check_backbone(self) -> "RunConfig":
        if self.evaluation.leave_one_family_out:
            return self
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
        """The families that are left out one after the other; a backbone cannot judge its own, nor be judged by it."""
        if not self.evaluation.leave_one_family_out:
            return []
        backbone = self.metrifier.backbone
        return [family for family in self.workers.families if backbone is None or family != backbone.family]

    def pipeline_arguments(self) -> dict[str, Any]:
        """Gives the pipeline's parameters: a section a stage, so that a stage is redone only if its own changes."""
        # Where tasks run is no parameter: it is written into the graph.
        arguments = self.model_dump(mode="json", exclude_none=True, exclude={"cluster"})
        if self.evaluation.leave_one_family_out:
            # Every worker sees every version, since each makes the label of some fold.
            arguments["workers"] = self.workers.holding_out(None).model_dump(mode="json", exclude_none=True)
            del arguments["tracking"]
        # The pipeline cannot look into a section, so what its graph needs is handed to it by name.
        arguments["worker_groups"] = self.workers.groups
        arguments["experiment"] = self.tracking.experiment
        return arguments


def _override(values: dict[str, Any], assignment: str) -> None:
    """Sets one `key.of.section=value`, the value being YAML."""
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
    """Reads and validates a config.

    Args:
        path: A YAML file; relative paths in it are relative to it.
        overrides: `key=value` assignments that stand above the file, e.g. `metrifier.epochs=3`.

    Returns:
        The config, with worker entries inlined and paths absolute.

    Raises:
        ConfigError: Something is wrong; every mistake is named.
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
    """Validates a config that was read.

    Args:
        values: Its sections; they are changed.
        overrides: As in `load_config`.
        folder: What relative paths are relative to.

    Returns:
        The config.

    Raises:
        ConfigError: Something is wrong; every mistake is named.
    """
    for assignment in overrides:
        _override(values, assignment)
    try:
        return RunConfig.model_validate(values, context={"folder": folder})
    except ValidationError as error:
        raise ConfigError(describe_mistakes(error)) from error
