"""How a network becomes a metrifier: what it is shown, what it is asked for, and how a killed training goes on."""

from metrifier_core.training.settings import MetrifierSettings

__all__ = ["MetrifierSettings"]
