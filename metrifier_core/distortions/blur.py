"""Blur: what a lens out of focus or a moving camera does."""

import cv2
import numpy as np

from metrifier_core.distortions.registry import register_distortion
from metrifier_core.images import RgbImage

__all__ = ["gaussian_blur"]


@register_distortion("blur", (1.0, 2.0, 3.0, 4.0, 6.0))
def gaussian_blur(image: RgbImage, sigma: float, rng: np.random.Generator) -> RgbImage:  # noqa: ARG001
    """Convolves the image with a normal density.

    Args:
        image: (H, W, 3) uint8 RGB.
        sigma: Standard deviation in pixels.
        rng: Not used: nothing is random.

    Returns:
        The blurred image. Formula: Gonzalez and Woods, Digital Image Processing, section 3.5.
    """
    blurred = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, dtype=np.uint8)
