"""Lossy codecs: a version is stored as the codec's own bytes."""

import cv2

from metrifier_core.distortions.registry import register_codec
from metrifier_core.images import ImageError, RgbImage

_WEBP_MAX_SIDE = 16_383


@register_codec((95, 2))
def jpeg(image: RgbImage, quality: float) -> bytes:
    """Compress the image as baseline JPEG, with chroma halved in both directions.

    The quality is libjpeg's, from 1 (worst, the same as 2) to 100. Format: ITU-T T.81; the distortion: Hendrycks and
    Dietterich, ImageNet-C (arXiv 1903.12261).
    """
    return _encode(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, int(quality)])


@register_codec((95, 1))
def webp(image: RgbImage, quality: float) -> bytes:
    """Compress the image as lossy WebP, at libwebp's quality from 1 (worst) to 100; format: RFC 9649.

    Raises:
        ImageError: A side has more than 16383 pixels, which the format does not allow.
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
