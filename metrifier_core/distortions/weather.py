"""Weather between the camera and the scene."""

import cv2
import numpy as np
from numpy.typing import NDArray

from metrifier_core.distortions.fields import FIELD_SIZE, draw_fractal
from metrifier_core.distortions.registry import register_distortion
from metrifier_core.images import RgbImage


@register_distortion("weather", (0.05, 60.0), prepare=draw_fractal)
def fog(image: RgbImage, density: float, field: NDArray[np.uint16]) -> RgbImage:
    """Lay white fog of uneven density over the image: (x + density f) m / (m + density).

    Here f is the field in [0, 1] and m the image's largest value. Formula: Hendrycks and Dietterich, ImageNet-C (arXiv
    1903.12261).
    """
    brightest = max(float(image.max()) / 255, 1 / 255)
    left = brightest / (brightest + density)
    laid = (255 * density * left / (FIELD_SIZE - 1) * np.arange(FIELD_SIZE)).astype(np.float32)[None]
    scene = cv2.LUT(image, (left * np.arange(256)).astype(np.float32))
    return np.asarray(cv2.add(scene, cv2.merge([cv2.LUT(field, laid)] * 3), dtype=cv2.CV_8U))
