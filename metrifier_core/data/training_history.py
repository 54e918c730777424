"""How a metrifier's training went, epoch by epoch."""

from pydantic import ConfigDict, RootModel

from metrifier_core.settings.base import Settings

TRAINING_HISTORY = "training.json"


class Epoch(Settings, ser_json_inf_nan="constants"):
    """What one epoch reached; a correlation may be NaN."""

    epoch: int
    loss: float
    validation_loss: float
    validation_spearman: float


class TrainingHistory(RootModel[tuple[Epoch, ...]]):
    """What `training.json` holds: the epochs in their order."""

    model_config = ConfigDict(frozen=True)
