"""Codecs: versions are stored as the codec's own bytes, at the right quality."""

import io
import re

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import JpegImagePlugin

from metrifier_core.distortions import SEVERITIES, encode_versions, get_distortion, list_distortions
from metrifier_core.images import ImageError, decode_image
from tests.helpers.example_images import IMAGES, distort_to, flat_image, natural_image, photograph, psnr

CODECS = list_distortions("compression")
QUALITIES = [90, 70, 50, 30, 10]


def compress(distortion: str, quality: float, image: str = "photograph") -> bytes:
    codec = get_distortion(distortion).codec
    assert codec is not None
    return codec(IMAGES[image](), quality)


def test_a_codec_is_stored_as_its_own_bytes() -> None:
    jpeg, webp = (encode_versions(photograph(), name, SEVERITIES, seed=0) for name in ("jpeg", "webp"))
    assert all(data.startswith(b"\xff\xd8\xff") for data in jpeg)
    assert all(data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8 " for data in webp), "lossy WebP"
    for name, stored in (("jpeg", jpeg), ("webp", webp)):
        assert stored == [compress(name, level) for level in get_distortion(name).severity_levels]


def test_what_is_no_codec_is_stored_as_png() -> None:
    for name in sorted(set(list_distortions()) - {*CODECS}):
        assert get_distortion(name).codec is None
        assert encode_versions(photograph(), name, [1], seed=0)[0].startswith(b"\x89PNG")


@pytest.mark.parametrize("distortion", CODECS)
@pytest.mark.parametrize("image", IMAGES)
def test_a_lower_quality_is_smaller(distortion: str, image: str) -> None:
    sizes = [len(compress(distortion, quality, image)) for quality in QUALITIES]
    assert sizes == sorted(set(sizes), reverse=True)


@pytest.mark.parametrize("distortion", CODECS)
def test_a_lower_quality_is_worse(distortion: str) -> None:
    for source in (photograph(), natural_image(0)):
        quality = [psnr(distort_to(source, distortion, level), source) for level in QUALITIES]
        assert quality == sorted(set(quality), reverse=True)


@pytest.mark.parametrize("distortion", CODECS)
@pytest.mark.parametrize("quality", [95, 40, 10, 2])
def test_pixels_are_those_of_the_bytes(distortion: str, quality: int) -> None:
    for image in IMAGES:
        decoded = decode_image(compress(distortion, quality, image))
        np.testing.assert_array_equal(distort_to(IMAGES[image](), distortion, quality), decoded)


@pytest.mark.parametrize("quality", [90, 50, 25, 10, 7, 2])
def test_jpeg_quality_is_that_of_libjpeg(quality: int) -> None:
    stream = io.BytesIO()
    PillowImage.fromarray(photograph()).save(stream, "JPEG", quality=quality)
    expected, stored = (
        JpegImagePlugin.JpegImageFile(io.BytesIO(data)) for data in (stream.getvalue(), compress("jpeg", quality))
    )
    assert stored.quantization == expected.quantization
    assert JpegImagePlugin.get_sampling(stored) == 2, "chroma halved both ways"
    assert "progressive" not in stored.info


@pytest.mark.parametrize("size", [(8, 16_390), (16_384, 8)])
def test_webp_refuses_what_its_format_cannot_hold(size: tuple[int, int]) -> None:
    image = flat_image(*size, 128)
    message = f"{size[1]} x {size[0]} pixels: WebP holds at most 16383 a side"
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        encode_versions(image, "webp", [1], seed=0)
    with pytest.raises(ImageError, match="WebP"):
        distort_to(image, "webp", 50)
    assert len(encode_versions(image, "jpeg", [1], seed=0)) == 1


def test_webp_takes_what_its_format_holds() -> None:
    image = flat_image(8, 16_383, 128)
    assert distort_to(image, "webp", 50).shape == image.shape
