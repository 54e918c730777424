"""Functions that apply a distortion: to pixels, or to make the bytes that a version is stored as."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from metrifier_core.distortions.registry import Distortion, get_distortion
from metrifier_core.distortions.severities import SEVERITIES, Levels
from metrifier_core.images import RgbImage, check_image, encode_png

PRISTINE = "pristine"
"""The distortion of an undistorted version; its severity is 0."""


def _select_levels(distortion: Distortion, severities: Sequence[int], levels: Levels | None) -> list[float]:
    for severity in severities:
        if isinstance(severity, bool) or not isinstance(severity, int | np.integer) or severity not in SEVERITIES:
            raise ValueError(f"severity of {distortion.name}: expected an integer from 1 to 5, got {severity!r}")
    if levels is not None:
        distortion.check_levels(levels)
    chosen = levels or distortion.severity_levels
    return [chosen[severity - 1] for severity in severities]


def apply_levels(
    image: RgbImage, distortion: Distortion, levels: Sequence[float], rng: np.random.Generator
) -> Iterator[RgbImage]:
    """Distort an image at several values of the distortion's parameter, all with the same random field.

    Args:
        image: (H, W, 3) uint8 RGB, at least 8 pixels a side; not modified.
        distortion: The distortion.
        levels: Values of its parameter.
        rng: Generator of the random field.

    Yields:
        A new uint8 RGB image of the same shape for each level.

    Raises:
        ImageError: The image has the wrong dtype or shape, or is too small.
        TypeError: A user's distortion returned something other than a uint8 image of the same shape.
    """
    source = np.ascontiguousarray(check_image(image))[:]
    source.flags.writeable = False  # a distortion that works in place would spoil the next severity
    prepared = () if distortion.prepare is None else (distortion.prepare(source, rng),)
    for level in levels:
        distorted = distortion.pixels(source, level, *prepared)
        if not isinstance(distorted, np.ndarray) or distorted.dtype != np.uint8 or distorted.shape != source.shape:
            is_array = isinstance(distorted, np.ndarray)
            actual = f"{distorted.dtype} {distorted.shape}" if is_array else type(distorted).__name__
            raise TypeError(f"distortion '{distortion.name}': expected a uint8 {source.shape} image, got {actual}")
        yield distorted


def apply_distortion(image: RgbImage, distortion: str, severity: int, rng: np.random.Generator) -> RgbImage:
    """Distort an image.

    Args:
        image: (H, W, 3) uint8 RGB, at least 8 pixels a side; not modified.
        distortion: Name of a registered distortion, or `module:function`.
        severity: 1 (mild) to 5 (severe).
        rng: Generator of the random field; the same state gives the same field at every severity.

    Returns:
        A new uint8 RGB image of the same shape.

    Raises:
        ImageError: The image has the wrong dtype or shape, or is too small.
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
    """Distort an image at several severities with one random field, much faster than one by one.

    Args:
        image: As in `apply_distortion`.
        distortion: As in `apply_distortion`.
        severities: From 1 (mild) to 5 (severe), in any order.
        rng: As in `apply_distortion`, which makes the same images from a generator in the same state.
        levels: The parameter at severity 1 to 5; the package's levels if None.

    Returns:
        A new uint8 RGB image of the same shape for each severity.

    Raises:
        ImageError: The image has the wrong dtype or shape, or is too small.
        ValueError: The distortion or a severity is unknown, or the levels are out of bounds.
    """
    definition = get_distortion(distortion)
    return list(apply_levels(image, definition, _select_levels(definition, severities, levels), rng))


def encode_versions(
    image: RgbImage, distortion: str, severities: Sequence[int], seed: int, *, levels: Levels | None = None
) -> list[bytes]:
    """Encode versions as they are stored: as the codec's own bytes, or else losslessly.

    Lossless versions are PNGs without deflate, because the tables that hold them are compressed.

    Args:
        image: (H, W, 3) uint8 RGB source image.
        distortion: Name of a registered distortion, or `module:function`.
        severities: From 1 to 5.
        seed: Seed of the versions, see `version_seed`.
        levels: The parameter at severity 1 to 5; the package's levels if None.

    Returns:
        An encoded image for each severity; decoded, it equals `apply_distortion` with `numpy.random.default_rng(seed)`.

    Raises:
        ImageError: The image has the wrong dtype or shape, is too small, or is too large for the codec.
        ValueError: The distortion or a severity is unknown.
    """
    definition = get_distortion(distortion)
    selected = _select_levels(definition, severities, levels)
    if definition.codec is not None:
        source = np.ascontiguousarray(check_image(image))
        return [definition.codec(source, level) for level in selected]
    distorted = apply_levels(image, definition, selected, np.random.default_rng(seed))
    return [encode_png(pixels, deflate=False) for pixels in distorted]


def version_seed(seed: int, image_id: str, distortion: str) -> int:
    """Derive the seed of the random field that all severities of one distortion of one image share.

    Args:
        seed: The config's seed.
        image_id: Identity of the source image.
        distortion: Name of the distortion.

    Returns:
        A number in [0, 2**63).
    """
    digest = hashlib.sha256(f"{seed}/{distortion}/{image_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
