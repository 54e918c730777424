"""metrifier: predicts how well image classifiers will do on an image, its machine-perceived quality."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from metrifier_core._version import __version__

if TYPE_CHECKING:
    from metrifier_core.architectures import create_network, get_architecture, list_architectures
    from metrifier_core.distortions import apply_distortion, get_distortion, list_distortions
    from metrifier_core.images import ImageError
    from metrifier_core.runtimes import list_runtimes
    from metrifier_core.scoring.metrifier import Metrifier
    from metrifier_core.scoring.score import Score
    from metrifier_core.sources import create_source, get_source, list_items, list_sources
    from metrifier_core.workers import create_worker, get_worker, list_workers

__all__ = [
    "ImageError",
    "Metrifier",
    "Score",
    "__version__",
    "apply_distortion",
    "create_network",
    "create_source",
    "create_worker",
    "get_architecture",
    "get_distortion",
    "get_source",
    "get_worker",
    "list_architectures",
    "list_distortions",
    "list_items",
    "list_runtimes",
    "list_sources",
    "list_workers",
]

_MODULES = {
    "ImageError": "images",
    "Metrifier": "scoring.metrifier",
    "Score": "scoring.score",
    "apply_distortion": "distortions",
    "create_network": "architectures",
    "create_source": "sources",
    "create_worker": "workers",
    "get_architecture": "architectures",
    "get_distortion": "distortions",
    "get_source": "sources",
    "get_worker": "workers",
    "list_architectures": "architectures",
    "list_distortions": "distortions",
    "list_items": "sources",
    "list_runtimes": "runtimes",
    "list_sources": "sources",
    "list_workers": "workers",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import metrifier_core` takes no time."""
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
