"""The architectures of metrifiers."""

from metrifier_core.architectures.multitap import multitap_large, multitap_small
from metrifier_core.architectures.nano import nano
from metrifier_core.architectures.pretrained import assign_kernels, check_backbone, read_kernels
from metrifier_core.architectures.registry import (
    Architecture,
    create_network,
    get_architecture,
    list_architectures,
    register_architecture,
)

__all__ = [
    "Architecture",
    "assign_kernels",
    "check_backbone",
    "create_network",
    "get_architecture",
    "list_architectures",
    "multitap_large",
    "multitap_small",
    "nano",
    "read_kernels",
    "register_architecture",
]
