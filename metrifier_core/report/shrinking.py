"""Shrinking of images for reports."""

import cv2
import numpy as np

from metrifier_core.images import RgbImage


def shrink(image: RgbImage, max_side: int) -> RgbImage:
    """Shrink an image, uint8 (H, W, 3), so that its longer side has at most `max_side` pixels, by area averaging."""
    longer = max(image.shape[:2])
    if longer <= max_side:
        return image
    height, width = (max(1, round(side * max_side / longer)) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
