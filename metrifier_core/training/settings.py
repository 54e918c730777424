"""The settings of a metrifier's network and training."""

from typing import Annotated, Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from metrifier_core.architectures import get_architecture
from metrifier_core.settings.base import OMIT_TAG, Settings, closest, config_path
from metrifier_core.workers import ApplicationSpec, ExportedSpec, read_entries

Backbone = Annotated[ApplicationSpec | ExportedSpec, Field(discriminator="format"), OMIT_TAG]


class MetrifierSettings(Settings):
    """The network of a run and its training."""

    architecture: str = "nano"
    backbone: Backbone | None = Field(
        None,
        validate_default=True,
        description="the pretrained classifier that a multitap begins with, as a catalogue of workers has it: of "
        "keras_applications or onnx, or FILE#NAME of such a catalogue; the weights that Keras publishes where left out",
    )
    crop: int = Field(224, ge=32, le=1024, description="pixels a side of what the network is shown")
    batch_size: int = Field(64, ge=2, le=4096)
    frozen_epochs: int = Field(4, ge=0, le=1000, description="epochs in which a backbone stays as it is, at first")
    epochs: int = Field(20, ge=0, le=1000, description="epochs in which all weights learn; after the frozen ones")
    patience: int = Field(
        5,
        ge=1,
        description="epochs without a better validation Spearman before training ends; frozen ones do not count",
    )
    learning_rate: float = Field(2e-3, gt=0, le=1)
    backbone_learning_rate: float = Field(
        2e-5, gt=0, le=1, description="instead, once a backbone learns with the rest of the network"
    )
    ranking_weight: float = Field(0.5, ge=0, le=100, description="of the loss of pairs in the wrong order")
    worker_weight: float = Field(0.2, ge=0, le=100, description="of the loss of a head for each label worker")
    flip: bool = Field(True, description="mirror half of the training views; not where left and right matter")
    mixed_precision: bool = Field(False, description="compute in 16 bits where a GPU is faster so")

    @field_validator("architecture")
    @classmethod
    def _check_architecture(cls, name: str) -> str:
        get_architecture(name)
        return name

    @field_validator("backbone", mode="before")
    @classmethod
    def _find_backbone(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and "architecture" in info.data:
            return get_architecture(info.data["architecture"]).backbone
        if not isinstance(value, str):
            return value
        file, _, name = value.rpartition("#")
        if not file:
            raise ValueError(f"'{value}' is neither an entry nor FILE#NAME of a catalogue of workers")
        entries = read_entries(config_path(file, info))
        if name not in entries:
            raise ValueError(f"{file} holds no '{name}', {closest(name, list(entries))}")
        return entries[name]

    @model_validator(mode="after")
    def _check_backbone(self) -> Self:
        default = get_architecture(self.architecture).backbone
        if default is None and self.backbone is not None:
            raise ValueError(f"backbone: {self.architecture} is trained from scratch and has none")
        if isinstance(self.backbone, ExportedSpec):
            scaling = {*self.backbone.mean, *self.backbone.std, round(self.backbone.scale * 127.5, 3)}
            if self.backbone.channels != "RGB" or scaling != {1.0}:
                raise ValueError("backbone: expected a classifier that takes x / 127.5 - 1 in RGB")
        if self.epochs == 0 and (default is None or self.frozen_epochs == 0):
            raise ValueError("epochs: without any, nothing learns")
        return self
