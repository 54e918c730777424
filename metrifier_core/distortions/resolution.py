"""Lost resolution: fewer pixels in the same frame."""

import cv2
import numpy as np

from metrifier_core.distortions.registry import register_distortion
from metrifier_core.images import RgbImage

__all__ = ["pixelate"]


@register_distortion("resolution", (0.6, 0.5, 0.4, 0.3, 0.25))
def pixelate(image: RgbImage, scale: float, rng: np.random.Generator) -> RgbImage:  # noqa: ARG001
    """Averages the image into fewer, larger square pixels.

    Args:
        image: (H, W, 3) uint8 RGB.
        scale: Side of the small image over that of the image, in (0, 1).
        rng: Not used: nothing is random.

    Returns:
        The image in blocks. Formula: Hendrycks and Dietterich, ImageNet-C (arXiv 1903.12261).
    """
    height, width = image.shape[:2]
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    blocks = cv2.resize(
        cv2.resize(image, small, interpolation=cv2.INTER_AREA),
        (width, height),
        interpolation=cv2.INTER_NEAREST_EXACT,  # INTER_NEAREST would shift the image
    )
    return np.asarray(blocks, dtype=np.uint8)
