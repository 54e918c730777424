"""Tone: the range of light that is left."""

import numpy as np

from metrifier_core.distortions.registry import register_distortion
from metrifier_core.images import RgbImage

__all__ = ["contrast"]


@register_distortion("tone", (0.4, 0.3, 0.2, 0.1, 0.05))
def contrast(image: RgbImage, factor: float, rng: np.random.Generator) -> RgbImage:  # noqa: ARG001
    """Draws every channel towards its own mean.

    Args:
        image: (H, W, 3) uint8 RGB.
        factor: Share of the deviation from the mean that is left, in (0, 1).
        rng: Not used: nothing is random.

    Returns:
        The flattened image. Formula: Hendrycks and Dietterich, ImageNet-C (arXiv 1903.12261).
    """
    mean = image.mean(axis=(0, 1), dtype=np.float64)
    levels = np.arange(256, dtype=np.float64)[:, None]
    # 256 values a channel: a table is exact, and cheaper than float maths on every pixel.
    table = np.rint((levels - mean) * factor + mean).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.stack([table[image[:, :, channel], channel] for channel in range(3)], axis=-1))
