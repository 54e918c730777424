"""Lossy codecs: a version is stored as the codec's own bytes."""

import cv2

from metrifier_core.distortions.registry import register_codec
from metrifier_core.images import ImageError, RgbImage

_WEBP_MAX_SIDE = 16_383


@register_codec((95, 2))
def jpeg(image: RgbImage, quality: float) -> bytes:
    """Compress the image as baseline JPEG, with chroma halved in both directions.

    Args:
        image: (H, W, 3) uint8 RGB.
        quality: libjpeg's scale from 1 (worst, the same as 2) to 100.

    Returns:
        The JPEG file. Format: ITU-T T.81; the distortion: Hendrycks and Dietterich, ImageNet-C (arXiv 1903.12261).
    """
    return _encode(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, int(quality)])


@register_codec((95, 1))
def webp(image: RgbImage, quality: float) -> bytes:
    """Compress the image as lossy WebP.

    Args:
        image: (H, W, 3) uint8 RGB, at most 16383 pixels a side.
        quality: libwebp's scale from 1 (worst) to 100.

    Returns:
        The WebP file. Format: RFC 9649.

    Raises:
        ImageError: The image is larger than the format allows.
    """
    height, width = image.shape[:2]
    if max(height, width) > _WEBP_MAX_SIDE:
        raise ImageError(f"{width} x {height} pixels: WebP holds at most {_WEBP_MAX_SIDE} a side")
    return _encode(image, ".webp", [cv2.IMWRITE_WEBP_QUALITY, int(quality)])


def _encode(image: RgbImage, extension: str, options: list[int]) -> bytes:
    written, data = cv2.imencode(extension, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not written:
        raise ImageError(f"{image.shape[1]} x {image.shape[0]} pixels cannot be written as {extension[1:]}")
    return data.tobytes()
