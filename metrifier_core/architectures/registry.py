"""The architectures of metrifiers by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from metrifier_core.settings.base import closest
from metrifier_core.workers import ApplicationSpec

Builder = Callable[..., Any]


@dataclass(frozen=True)
class Architecture:
    """A registered architecture.

    Attributes:
        name: Its name.
        build: Builds it untrained; takes the number of the backbone's `classes` where there is a backbone.
        backbone: Default pretrained classifier that it starts from; None if it is trained from scratch.
    """

    name: str
    build: Builder
    backbone: ApplicationSpec | None = None


_REGISTRY: dict[str, Architecture] = {}


def register_architecture(backbone: ApplicationSpec | None = None) -> Callable[[Builder], Builder]:
    """Return a decorator that registers a function which builds a network, under the function's name.

    Args:
        backbone: Pretrained classifier that the network starts from.
    """

    def register(build: Builder) -> Builder:
        _REGISTRY[build.__name__] = Architecture(build.__name__, build, backbone)
        return build

    return register


def list_architectures() -> list[str]:
    """Return the names of the registered architectures, sorted."""
    return sorted(_REGISTRY)


def get_architecture(name: str) -> Architecture:
    """Return a registered architecture.

    Raises:
        ValueError: The name is unknown; the message says which name is close.
    """
    if name not in _REGISTRY:
        raise ValueError(f"unknown architecture '{name}', {closest(name, list_architectures())}")
    return _REGISTRY[name]


def create_network(name: str, classes: int = 1000) -> Any:
    """Build an untrained network.

    Args:
        name: One of `list_architectures()`.
        classes: Number of the backbone's classes, if there is a backbone.

    Returns:
        A Keras model from (N, H, W, 3) uint8 RGB of any size to (N, 1) scores in [0, 1].

    Raises:
        ValueError: The name is unknown; the message says which name is close.
    """
    architecture = get_architecture(name)
    return architecture.build() if architecture.backbone is None else architecture.build(classes)
