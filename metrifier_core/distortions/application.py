"""The two ways to apply a distortion: to pixels, and to the bytes that a version is stored as."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from metrifier_core.distortions.registry import Distortion, get_distortion
from metrifier_core.distortions.severities import SEVERITIES, Levels
from metrifier_core.images import RgbImage, check_image, encode_png

PRISTINE = "pristine"
"""The distortion of an undistorted version; its severity is 0."""


def _levels(distortion: Distortion, severities: Sequence[int], levels: Levels | None) -> list[float]:
    for severity in severities:
        if isinstance(severity, bool) or not isinstance(severity, int | np.integer) or severity not in SEVERITIES:
            raise ValueError(f"severity {severity!r} of {distortion.name}: allowed are 1 to 5")
    if levels is None:
        levels = distortion.severity_levels
    else:
        distortion.check_levels(levels)
    return [levels[severity - 1] for severity in severities]


def apply_levels(
    image: RgbImage, distortion: Distortion, levels: Sequence[float], rng: np.random.Generator
) -> Iterator[RgbImage]:
    """Distorts an image at several values of the distortion's parameter, from one random field.

    Args:
        image: (H, W, 3) uint8 RGB, at least 8 pixels a side; it is not changed.
        distortion: The distortion.
        levels: Values of its parameter.
        rng: Where the random field comes from.

    Yields:
        A new uint8 RGB image of the same shape for each level.

    Raises:
        ImageError: The image has another dtype or shape or is too small.
        TypeError: The distortion is a user's and made no such image.
    """
    source = np.ascontiguousarray(check_image(image))[:]
    source.flags.writeable = False  # a user's distortion that works in place would spoil the next severity
    prepared = () if distortion.prepare is None else (distortion.prepare(source, rng),)
    for level in levels:
        distorted = distortion.pixels(source, level, *prepared)
        if not isinstance(distorted, np.ndarray) or distorted.dtype != np.uint8 or distorted.shape != source.shape:
            raise TypeError(f"distortion '{distortion.name}' made no uint8 image of the shape {source.shape}")
        yield distorted


def apply_distortion(image: RgbImage, distortion: str, severity: int, rng: np.random.Generator) -> RgbImage:
    """Distorts an image.

    Args:
        image: (H, W, 3) uint8 RGB, at least 8 pixels a side; it is not changed.
        distortion: Name of a registered distortion, or `module:function`.
        severity: 1 (mild) to 5 (severe).
        rng: Where random fields come from; a generator in the same state gives the same field at every severity.

    Returns:
        A new uint8 RGB image of the same shape.

    Raises:
        ImageError: The image has another dtype, shape or is too small.
        ValueError: The distortion or the severity is unknown.
    """
    return apply_severities(image, distortion, [severity], rng)[0]


def apply_severities(
    image: RgbImage,
    distortion: str,
    severities: Sequence[int],
    rng: np.random.Generator,
    *,
    levels: Levels | None = None,
) -> list[RgbImage]:
    """Distorts an image at several severities from one random field, which is much faster than one by one.

    Args:
        image: As for `apply_distortion`.
        distortion: As for `apply_distortion`.
        severities: From 1 (mild) to 5 (severe), in any order.
        rng: As for `apply_distortion`; the images are those that it makes one by one with a generator in this state.
        levels: The parameter at severity 1 to 5, where it is not to be the package's.

    Returns:
        A new uint8 RGB image of the same shape for each severity.

    Raises:
        ImageError: The image has another dtype, shape or is too small.
        ValueError: The distortion or a severity is unknown, or the levels are not within its bounds.
    """
    found = get_distortion(distortion)
    return list(apply_levels(image, found, _levels(found, severities, levels), rng))


def encode_versions(
    image: RgbImage, distortion: str, severities: Sequence[int], seed: int, *, levels: Levels | None = None
) -> list[bytes]:
    """Makes the bytes that versions are stored as: lossless, or the codec's own where the distortion is one.

    Lossless versions are PNGs without deflate, since the tables that keep them are compressed.

    Args:
        image: (H, W, 3) uint8 RGB source image.
        distortion: Name of a registered distortion, or `module:function`.
        severities: From 1 to 5.
        seed: The versions' seed, see `version_seed`.
        levels: The parameter at severity 1 to 5, where it is not to be the package's.

    Returns:
        An encoded image a severity; decoded, it equals `apply_distortion` with `numpy.random.default_rng(seed)`.

    Raises:
        ImageError: The image has another dtype, shape, is too small, or too large for the codec.
        ValueError: The distortion or a severity is unknown.
    """
    found = get_distortion(distortion)
    parameters = _levels(found, severities, levels)
    if found.codec is not None:
        source = np.ascontiguousarray(check_image(image))
        return [found.codec(source, level) for level in parameters]
    distorted = apply_levels(image, found, parameters, np.random.default_rng(seed))
    return [encode_png(pixels, deflate=False) for pixels in distorted]


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
