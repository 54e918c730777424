"""The distortions by name: what each one is, and how one is added."""

import hashlib
import importlib
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from metrifier_core.distortions.severities import SEVERITIES, Levels, default_levels
from metrifier_core.images import RgbImage
from metrifier_core.settings.base import closest

Pixels: TypeAlias = Callable[..., RgbImage]
Prepare: TypeAlias = Callable[[RgbImage, np.random.Generator], Any]
Codec: TypeAlias = Callable[[RgbImage, float], bytes]
PixelsOrCodec = TypeVar("PixelsOrCodec", bound=Callable[..., Any])


@dataclass(frozen=True)
class Distortion:
    """One type of distortion.

    Attributes:
        name: How configs and tables call it.
        family: noise, blur, compression, resolution, tone, weather or whatever its author says.
        bounds: Its parameter at its mildest and at its most severe; levels lie between the two.
        pixels: Maps (image, level), or (image, level, what `prepare` made), to the distorted image.
        prepare: Makes, from (image, rng), what all severities share: above all the one random field.
        codec: For a distortion that is a lossy codec, maps (image, level) to the very bytes it makes.
        whole: Whether levels are whole numbers.
        test_only: Whether no metrifier may be trained on it.
        own_levels: Its levels where they do not stand in the package's severities.yaml.
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

    @property
    def severity_levels(self) -> Levels:
        """Its parameter at severity 1 to 5; the function's docstring says what it is.

        Raises:
            ValueError: It was registered without levels and has not been calibrated.
        """
        levels = self.own_levels or default_levels().get(self.name)
        if levels is None:
            raise ValueError(f"'{self.name}' has no severity levels: register it with some, or calibrate it")
        return levels

    def check_levels(self, levels: Levels) -> None:
        """Checks levels that a user gives.

        Raises:
            ValueError: They leave the bounds, do not go one way from mild to severe, or should be whole.
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


def _register(distortion: Distortion) -> None:
    mildest, severest = distortion.bounds
    if mildest == severest or not math.isfinite(severest - mildest):
        raise ValueError(f"bounds {distortion.bounds} of {distortion.name}: expected two different numbers")
    if distortion.own_levels is not None:
        distortion.check_levels(distortion.own_levels)
    _REGISTRY[distortion.name] = distortion


def _registered_name(function: Callable[..., Any]) -> str:
    """Names a distortion of this package by itself, and one of a user as a config does: module:function."""
    package = __name__.rpartition(".")[0]
    inside = function.__module__.startswith(f"{package}.")
    return function.__name__ if inside else f"{function.__module__}:{function.__name__}"


def register_distortion(
    family: str,
    bounds: tuple[float, float],
    *,
    prepare: Prepare | None = None,
    whole: bool = False,
    test_only: bool = False,
    levels: Levels | None = None,
) -> Callable[[PixelsOrCodec], PixelsOrCodec]:
    """Registers a function (image, level) -> image, or (image, level, prepared) -> image, as a distortion.

    A random distortion draws in `prepare` and nowhere else, so that all its severities share one field:

        @register_distortion("weather", (0.01, 1.0), prepare=lambda image, rng: rng.random(image.shape[:2]),
                             levels=(0.1, 0.2, 0.3, 0.4, 0.5))
        def rain(image, amount, field): ...

    A config names it `module:function`.

    Args:
        family: What it belongs to, see `list_distortions`.
        bounds: The parameter at its mildest and at its most severe; a calibration searches between them, in equal
            ratios where both have one sign, otherwise in equal steps.
        prepare: Makes what all severities share from (image, rng), given to the function as third argument.
        whole: Whether levels are whole numbers.
        test_only: Whether no metrifier may be trained on it.
        levels: The parameter at severity 1 to 5; where left out, a severities file must have them.
    """

    def register(function: PixelsOrCodec) -> PixelsOrCodec:
        name = _registered_name(function)
        _register(Distortion(name, family, bounds, function, prepare, None, whole, test_only, levels))
        return function

    return register


def _decode(codec: Codec, image: RgbImage, level: float) -> RgbImage:
    import cv2

    # What `decode_image` gives for the same bytes, without its checks of what strangers send.
    pixels = cv2.imdecode(np.frombuffer(codec(image, level), np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(pixels, np.uint8)


def register_codec(
    bounds: tuple[float, float], *, whole: bool = True, levels: Levels | None = None
) -> Callable[[PixelsOrCodec], PixelsOrCodec]:
    """Registers a function (image, level) -> bytes of an image file as a distortion of the family compression."""

    def register(codec: PixelsOrCodec) -> PixelsOrCodec:
        name = _registered_name(codec)
        pixels = partial(_decode, codec)
        _register(Distortion(name, "compression", bounds, pixels, None, codec, whole, False, levels))
        return codec

    return register


def list_distortions(family: str | None = None) -> list[str]:
    """Lists the registered distortions, sorted by name; of one family where one is named."""
    return sorted(name for name, distortion in _REGISTRY.items() if family in (None, distortion.family))


def module_digest(name: str) -> str:
    """Computes the SHA-256 of the file of a module that has been imported."""
    file = sys.modules[name].__file__
    return hashlib.sha256(Path(file).read_bytes() if file else b"").hexdigest()


def get_distortion(name: str) -> Distortion:
    """Finds a distortion by its name, or by `module:function`, whose module is imported.

    Raises:
        ValueError: There is none of that name; the message says what is close.
    """
    module, colon, _ = name.partition(":")
    if colon and name not in _REGISTRY:
        if not _MODULE.fullmatch(module):
            raise ValueError(f"distortion '{name}': expected module:function")
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever a user's module does wrong
            raise ValueError(f"distortion '{name}': the module cannot be imported: {error}") from error
        if name not in _REGISTRY:
            raise ValueError(f"distortion '{name}': {module} registers no distortion of that name")
    if name not in _REGISTRY:
        raise ValueError(f"unknown distortion '{name}', {closest(name, list_distortions())}")
    return _REGISTRY[name]
