"""The distortions by name, and the two ways to apply one: to pixels, and to the bytes that a version is stored as."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from metrifier_core.images import RgbImage, check_image, decode_image, encode_png
from metrifier_core.settings import closest

__all__ = [
    "PRISTINE",
    "SEVERITIES",
    "Distortion",
    "apply_distortion",
    "encode_version",
    "get_distortion",
    "list_distortions",
    "register_codec",
    "register_distortion",
    "version_seed",
]

PRISTINE = "pristine"
"""The distortion of an undistorted version; its severity is 0."""

SEVERITIES = (1, 2, 3, 4, 5)

Pixels = Callable[[RgbImage, float, np.random.Generator], RgbImage]
Codec = Callable[[RgbImage, float], bytes]


@dataclass(frozen=True)
class Distortion:
    """One type of distortion.

    Attributes:
        name: How configs and tables call it.
        family: noise, blur, compression, resolution, tone or weather.
        severity_levels: Its parameter at severity 1 to 5; the function's docstring says what it is.
        pixels: Maps (image, level, rng) to the distorted image.
        codec: For a distortion that is a lossy codec, maps (image, level) to the very bytes it makes.
    """

    name: str
    family: str
    severity_levels: tuple[float, float, float, float, float]
    pixels: Pixels
    codec: Codec | None = None


_REGISTRY: dict[str, Distortion] = {}


def register_distortion(
    family: str, severity_levels: tuple[float, float, float, float, float]
) -> Callable[[Pixels], Pixels]:
    """Registers a function (image, level, rng) -> image as the distortion of its name."""

    def register(pixels: Pixels) -> Pixels:
        name = pixels.__name__
        _REGISTRY[name] = Distortion(name, family, severity_levels, pixels)
        return pixels

    return register


def register_codec(severity_levels: tuple[float, float, float, float, float]) -> Callable[[Codec], Codec]:
    """Registers a function (image, level) -> bytes as the compression of its name."""

    def register(codec: Codec) -> Codec:
        def pixels(image: RgbImage, level: float, rng: np.random.Generator) -> RgbImage:  # noqa: ARG001
            return decode_image(codec(image, level))

        _REGISTRY[codec.__name__] = Distortion(codec.__name__, "compression", severity_levels, pixels, codec)
        return codec

    return register


def list_distortions(family: str | None = None) -> list[str]:
    """Lists the registered distortions, sorted by name; of one family where one is named."""
    return sorted(name for name, distortion in _REGISTRY.items() if family in (None, distortion.family))


def get_distortion(name: str) -> Distortion:
    """Finds a distortion by its name.

    Raises:
        ValueError: There is none of that name; the message says what is close.
    """
    if name not in _REGISTRY:
        raise ValueError(f"unknown distortion '{name}', {closest(name, list_distortions())}")
    return _REGISTRY[name]


def _level(distortion: Distortion, severity: int) -> float:
    if severity not in SEVERITIES:
        raise ValueError(f"severity {severity!r} of {distortion.name}: allowed are 1 to 5")
    return distortion.severity_levels[severity - 1]


def apply_distortion(image: RgbImage, distortion: str, severity: int, rng: np.random.Generator) -> RgbImage:
    """Distorts an image.

    Args:
        image: (H, W, 3) uint8 RGB, at least 8 pixels a side; it is not changed.
        distortion: Name of a registered distortion.
        severity: 1 (mild) to 5 (severe).
        rng: Where random fields come from; a generator in the same state gives the same field at every severity.

    Returns:
        A new uint8 RGB image of the same shape.

    Raises:
        ImageError: The image has another dtype, shape or is too small.
        ValueError: The distortion or the severity is unknown.
    """
    found = get_distortion(distortion)
    return found.pixels(check_image(image), _level(found, severity), rng)


def encode_version(image: RgbImage, distortion: str, severity: int, seed: int) -> bytes:
    """Makes the bytes that a version is stored as: lossless, or the codec's own where the distortion is one.

    Args:
        image: (H, W, 3) uint8 RGB source image.
        distortion: Name of a registered distortion.
        severity: 1 to 5.
        seed: The version's seed, see `version_seed`.

    Returns:
        An encoded image; decoded, it equals `apply_distortion` with `numpy.random.default_rng(seed)`.

    Raises:
        ImageError: The image has another dtype, shape or is too small.
        ValueError: The distortion or the severity is unknown.
    """
    found = get_distortion(distortion)
    if found.codec is not None:
        return found.codec(check_image(image), _level(found, severity))
    return encode_png(apply_distortion(image, distortion, severity, np.random.default_rng(seed)))


def version_seed(seed: int, image_id: str, distortion: str) -> int:
    """Derives the seed of a version's random field: one field an image and type, shared by its severities.

    Args:
        seed: The config's seed.
        image_id: Identity of the source image.
        distortion: Name of the distortion.

    Returns:
        A number in [0, 2**63).
    """
    digest = hashlib.sha256(f"{seed}/{distortion}/{image_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
