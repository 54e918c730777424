"""The registry of distortions: what each one is, and how to add one."""

import importlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar

import numpy as np

from metrifier_core.distortions.severities import SEVERITIES, Levels, default_severities
from metrifier_core.images import RgbImage
from metrifier_core.settings.base import closest

Pixels: TypeAlias = Callable[..., RgbImage]
Prepare: TypeAlias = Callable[[RgbImage, np.random.Generator], Any]
Codec: TypeAlias = Callable[[RgbImage, float], bytes]
PixelsOrCodec = TypeVar("PixelsOrCodec", bound=Callable[..., Any])


@dataclass(frozen=True)
class Distortion:
    """A type of distortion.

    Attributes:
        name: Its name in configs and tables.
        family: noise, blur, compression, resolution, tone, weather, or whatever its author chose.
        bounds: The parameter at its mildest and at its most severe; all levels lie between the two.
        pixels: Maps (image, level), or (image, level, result of `prepare`), to the distorted image.
        prepare: Makes, from (image, rng), what all severities share, above all the random field.
        codec: For a lossy codec, maps (image, level) to the bytes that it writes.
        whole: Whether levels are integers.
        test_only: Whether no metrifier may be trained on it.
        own_levels: Its levels, if they are not in the package's severities.yaml.

    Raises:
        ValueError: The bounds are equal or not finite, or the levels are wrong.
    """

    name: str
    family: str
    bounds: tuple[float, float]
    pixels: Pixels
    prepare: Prepare | None = None
    codec: Codec | None = None
    whole: bool = False
    test_only: bool = False
    own_levels: Levels | None = None

    def __post_init__(self) -> None:
        mildest, severest = self.bounds
        if mildest == severest or not math.isfinite(severest - mildest):
            raise ValueError(f"bounds of {self.name}: expected two different numbers, got {self.bounds}")
        if self.own_levels is not None:
            self.check_levels(self.own_levels)

    @property
    def severity_levels(self) -> Levels:
        """Return the parameter at severity 1 to 5; the function's docstring explains the parameter.

        Raises:
            ValueError: It was registered without levels and has not been calibrated.
        """
        levels = self.own_levels or default_severities().levels.get(self.name)
        if levels is None:
            raise ValueError(f"'{self.name}' has no severity levels: register it with some, or calibrate it")
        return levels

    def check_levels(self, levels: Levels) -> None:
        """Check levels that a user gives.

        Raises:
            ValueError: They are out of bounds, not ordered from mild to severe, or not integers where they must be.
        """
        mildest, severest = self.bounds
        sign = 1 if severest > mildest else -1
        rising = [sign * level for level in (mildest, *levels, severest)]
        different = len(set(levels)) == len(SEVERITIES) == len(levels)
        if not (different and all(map(math.isfinite, levels)) and rising == sorted(rising)):
            way = "rise" if sign > 0 else "fall"
            raise ValueError(f"{list(levels)} of {self.name}: levels must {way} from {mildest:g} to {severest:g}")
        if self.whole and any(level != round(level) for level in levels):
            raise ValueError(f"{list(levels)} of {self.name}: levels must be whole numbers")


_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_REGISTRY: dict[str, Distortion] = {}


def _register(function: PixelsOrCodec, **attributes: Any) -> PixelsOrCodec:
    """Register under the bare name if it is this package's, else as module:function, as configs name it."""
    package, name = __name__.rpartition(".")[0], function.__name__
    if not function.__module__.startswith(f"{package}."):
        name = f"{function.__module__}:{name}"
    _REGISTRY[name] = Distortion(name=name, **attributes)
    return function


def register_distortion(
    family: str,
    bounds: tuple[float, float],
    *,
    prepare: Prepare | None = None,
    whole: bool = False,
    test_only: bool = False,
    levels: Levels | None = None,
) -> Callable[[PixelsOrCodec], PixelsOrCodec]:
    """Register a function (image, level) -> image, or (image, level, prepared) -> image, as a distortion.

    A random distortion draws in `prepare` and nowhere else, so that all its severities share one field:

        @register_distortion("weather", (0.01, 1.0), prepare=lambda image, rng: rng.random(image.shape[:2]),
                             levels=(0.1, 0.2, 0.3, 0.4, 0.5))
        def rain(image, amount, field): ...

    A config names it `module:function`.

    Args:
        family: Its family, see `list_distortions`.
        bounds: The parameter at its mildest and at its most severe; calibration searches between them, in equal ratios
            if both have the same sign, otherwise in equal steps.
        prepare: Makes what all severities share from (image, rng); the function gets it as third argument.
        whole: Whether levels are integers.
        test_only: Whether no metrifier may be trained on it.
        levels: The parameter at severity 1 to 5; without it, a severities file must have them.
    """

    def register(function: PixelsOrCodec) -> PixelsOrCodec:
        shared = {"prepare": prepare, "whole": whole, "test_only": test_only, "own_levels": levels}
        return _register(function, family=family, bounds=bounds, pixels=function, **shared)

    return register


def register_codec(
    bounds: tuple[float, float], *, whole: bool = True, levels: Levels | None = None
) -> Callable[[PixelsOrCodec], PixelsOrCodec]:
    """Register a function (image, level) -> bytes of an image file as a distortion of the family compression."""

    def register(codec: PixelsOrCodec) -> PixelsOrCodec:
        shared = {"codec": codec, "whole": whole, "own_levels": levels}
        return _register(codec, family="compression", bounds=bounds, pixels=partial(_decode, codec), **shared)

    return register


def _decode(codec: Codec, image: RgbImage, level: float) -> RgbImage:
    import cv2

    # The pixels of `decode_image`, without its checks for hostile files.
    pixels = cv2.imdecode(np.frombuffer(codec(image, level), np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(pixels, np.uint8)


def list_distortions(family: str | None = None) -> list[str]:
    """List the registered distortions, sorted by name; only those of one family if given."""
    return sorted(name for name, distortion in _REGISTRY.items() if family in (None, distortion.family))


def get_distortion(name: str) -> Distortion:
    """Return the distortion of a name, or of `module:function`, importing the module.

    Raises:
        ValueError: There is none of that name; the message suggests what is close.
    """
    module, colon, _ = name.partition(":")
    if colon and name not in _REGISTRY:
        if not _MODULE.fullmatch(module):
            raise ValueError(f"distortion '{name}': expected module:function")
        try:
            importlib.import_module(module)
        except Exception as error:  # a user's module may raise anything
            raise ValueError(f"distortion '{name}': the module cannot be imported: {error}") from error
        if name not in _REGISTRY:
            raise ValueError(f"distortion '{name}': {module} registers no distortion of that name")
    if name not in _REGISTRY:
        raise ValueError(f"unknown distortion '{name}', {closest(name, list_distortions())}")
    return _REGISTRY[name]
