"""How a metrifier is trained."""

from pydantic import Field, field_validator

from metrifier_core.architectures.registry import list_architectures
from metrifier_core.settings import Settings, closest

__all__ = ["MetrifierSettings"]


class MetrifierSettings(Settings):
    """The network of a run and its training; every choice is made on validation data."""

    architecture: str = "nano"
    crop: int = Field(224, ge=32, le=1024, description="pixels a side of what the network is shown")
    batch_size: int = Field(64, ge=2, le=4096)
    epochs: int = Field(20, ge=1, le=1000)
    patience: int = Field(5, ge=1, description="epochs without a better validation Spearman before training ends")
    learning_rate: float = Field(2e-3, gt=0, le=1)
    flip: bool = Field(True, description="mirror half of the training views; not where left and right matter")

    @field_validator("architecture")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in list_architectures():
            raise ValueError(f"unknown architecture '{name}', {closest(name, list_architectures())}")
        return name
