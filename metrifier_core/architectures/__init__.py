"""The networks that a metrifier can be."""

from metrifier_core.architectures import nano
from metrifier_core.architectures.registry import create_network, list_architectures, register_architecture
from metrifier_core.architectures.training import MetrifierSettings

__all__ = ["MetrifierSettings", "create_network", "list_architectures", "nano", "register_architecture"]
