"""Lossy codecs: a version keeps the very bytes that the codec made."""

import cv2

from metrifier_core.distortions.registry import register_codec
from metrifier_core.images import ImageError, RgbImage

__all__ = ["jpeg"]


@register_codec((25, 18, 15, 10, 7))
def jpeg(image: RgbImage, quality: float) -> bytes:
    """Compresses the image as baseline JPEG, chroma halved both ways.

    Args:
        image: (H, W, 3) uint8 RGB.
        quality: libjpeg's scale from 1 (worst) to 100.

    Returns:
        The JPEG file. Levels: Hendrycks and Dietterich, ImageNet-C (arXiv 1903.12261).
    """
    written, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    if not written:
        raise ImageError(f"{image.shape[1]} x {image.shape[0]} pixels cannot be written as JPEG")
    return data.tobytes()
