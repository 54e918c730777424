"""The training of metrifiers: batches, loss, epochs, checkpoints and calibration."""

from metrifier_core.training.settings import MetrifierSettings

__all__ = ["MetrifierSettings"]
