"""Noise: signed, unbiased, one random field scaled by severity."""

import numpy as np

from metrifier_core.distortions.registry import register_distortion
from metrifier_core.images import RgbImage

__all__ = ["gaussian_noise"]


@register_distortion("noise", (0.08, 0.12, 0.18, 0.26, 0.38))
def gaussian_noise(image: RgbImage, sigma: float, rng: np.random.Generator) -> RgbImage:
    """Adds independent normal noise to every channel of every pixel.

    Args:
        image: (H, W, 3) uint8 RGB.
        sigma: Standard deviation, where 1 is the range from black to white.
        rng: Draws the field.

    Returns:
        The noisy image. Formula: Hendrycks and Dietterich, ImageNet-C (arXiv 1903.12261).
    """
    noisy = rng.standard_normal(image.shape, dtype=np.float32)
    noisy *= np.float32(255 * sigma)
    noisy += image
    np.rint(noisy, out=noisy)
    return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)
