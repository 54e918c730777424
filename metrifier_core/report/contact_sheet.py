"""The contact sheet: one image under every distortion at every severity."""

from collections.abc import Mapping

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from metrifier_core.distortions import (
    SEVERITIES,
    Levels,
    apply_severities,
    get_distortion,
    list_distortions,
    version_seed,
)
from metrifier_core.images import RgbImage

_INPUT = 224  # pixels a side that are distorted, as classifiers see them
_CELL = 112
_GAP = 4
_TEXT = 16
_MARGIN = 12
_INK, _MUTED, _PAPER = (20, 20, 20), (120, 120, 120), (255, 255, 255)


def contact_sheet(image: RgbImage, seed: int, levels: Mapping[str, Levels] | None = None) -> RgbImage:
    """Draw the pristine image and its five severities for each distortion, labelled with name and level.

    The image's central square is resized to 224 pixels a side and distorted; `levels` replace the package's.

    Returns:
        The sheet, uint8 RGB: the centres of the versions at full size, in two columns, sorted by family.
    """
    pristine = _crop_and_resize(image)
    names = sorted(list_distortions(), key=lambda name: (get_distortion(name).family, name))
    rows = -(-len(names) // 2)
    strip_width = (len(SEVERITIES) + 1) * (_CELL + _GAP) - _GAP
    strip_height = _TEXT + _CELL + _GAP
    sheet = Image.new("RGB", (2 * strip_width + 3 * _MARGIN, rows * strip_height + 2 * _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_TEXT - 4)
    for index, name in enumerate(names):
        column, row = divmod(index, rows)
        left = _MARGIN + column * (strip_width + _MARGIN)
        top = _MARGIN + row * strip_height
        severity_levels = (levels or {}).get(name) or get_distortion(name).severity_levels
        rng = np.random.default_rng(version_seed(seed, "", name))
        versions = [pristine, *apply_severities(pristine, name, SEVERITIES, rng, levels=severity_levels)]
        captions = [name.replace("_", " "), *(f"{level:g}" for level in severity_levels)]
        for severity, (version, caption) in enumerate(zip(versions, captions, strict=True)):
            x = left + severity * (_CELL + _GAP)
            draw.text((x, top), caption, fill=_MUTED if severity else _INK, font=font)
            # At full size: shrinking would hide noise and blur.
            sheet.paste(Image.fromarray(_crop_centre(version, _CELL)), (x, top + _TEXT))
    return np.asarray(sheet)


def _crop_and_resize(image: RgbImage) -> RgbImage:
    side = min(image.shape[:2])
    interpolation = cv2.INTER_AREA if side > _INPUT else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(_crop_centre(image, side), (_INPUT, _INPUT), interpolation=interpolation), np.uint8)


def _crop_centre(image: RgbImage, side: int) -> RgbImage:
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return np.ascontiguousarray(image[top : top + side, left : left + side])
