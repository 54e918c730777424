"""The candidate networks by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from metrifier_core.settings.base import closest
from metrifier_core.workers import ApplicationSpec

Builder = Callable[..., Any]

DEFAULT_CLASSES = 1000


@dataclass(frozen=True)
class Architecture:
    """A candidate network.

    Attributes:
        name: Its name.
        build: Builds it untrained; takes the number of the backbone's `classes` where there is a backbone.
        backbone: The pretrained classifier that it begins with, where a config names no other; None where it is
            trained from scratch.
    """

    name: str
    build: Builder
    backbone: ApplicationSpec | None = None


_REGISTRY: dict[str, Architecture] = {}


def register_architecture(backbone: ApplicationSpec | None = None) -> Callable[[Builder], Builder]:
    """Registers a function that builds a network under its name.

    Args:
        backbone: The pretrained classifier that it begins with.

    Returns:
        A decorator.
    """

    def register(build: Builder) -> Builder:
        _REGISTRY[build.__name__] = Architecture(build.__name__, build, backbone)
        return build

    return register


def list_architectures() -> list[str]:
    """Lists the registered networks, sorted by name."""
    return sorted(_REGISTRY)


def get_architecture(name: str) -> Architecture:
    """Finds a registered network.

    Raises:
        ValueError: There is none of that name; the message says what is close.
    """
    if name not in _REGISTRY:
        raise ValueError(f"unknown architecture '{name}', {closest(name, list_architectures())}")
    return _REGISTRY[name]


def create_network(name: str, classes: int = DEFAULT_CLASSES) -> Any:
    """Builds an untrained network.

    Args:
        name: One of `list_architectures()`.
        classes: How many the backbone tells apart, where there is a backbone.

    Returns:
        A Keras model from (N, H, W, 3) uint8 RGB of any size to (N, 1) scores in [0, 1].

    Raises:
        ValueError: There is none of that name; the message says what is close.
    """
    architecture = get_architecture(name)
    return architecture.build() if architecture.backbone is None else architecture.build(classes)
