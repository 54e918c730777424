"""The candidate networks by name."""

from collections.abc import Callable
from typing import Any

from metrifier_core.settings import closest

__all__ = ["create_network", "list_architectures", "register_architecture"]

Builder = Callable[[], Any]

_REGISTRY: dict[str, Builder] = {}


def register_architecture(builder: Builder) -> Builder:
    """Registers a function that builds a network under its name."""
    _REGISTRY[builder.__name__] = builder
    return builder


def list_architectures() -> list[str]:
    """Lists the registered networks, sorted by name."""
    return sorted(_REGISTRY)


def create_network(name: str) -> Any:
    """Builds an untrained network.

    Args:
        name: One of `list_architectures()`.

    Returns:
        A Keras model from (N, H, W, 3) uint8 RGB of any size to (N, 1) scores in [0, 1].

    Raises:
        ValueError: There is none of that name; the message says what is close.
    """
    if name not in _REGISTRY:
        raise ValueError(f"unknown architecture '{name}', {closest(name, list_architectures())}")
    return _REGISTRY[name]()
