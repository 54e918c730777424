"""metrifier: predicts how well image classifiers will do on an image, its machine-perceived quality."""

from typing import TYPE_CHECKING, Any

from metrifier_core._version import __version__

if TYPE_CHECKING:
    from metrifier_core.images import ImageError
    from metrifier_core.scoring.metrifier import Metrifier
    from metrifier_core.scoring.score import Score

__all__ = ["ImageError", "Metrifier", "Score", "__version__"]


def __getattr__(name: str) -> Any:
    """Imports the public names on first use, so that `metrifier --help` need not wait for them."""
    if name == "ImageError":
        from metrifier_core.images import ImageError

        return ImageError
    if name == "Metrifier":
        from metrifier_core.scoring.metrifier import Metrifier

        return Metrifier
    if name == "Score":
        from metrifier_core.scoring.score import Score

        return Score
    raise AttributeError(f"module 'metrifier_core' has no attribute '{name}'")
