"""A picture of what every distortion does at every severity."""

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

_SHOWN = 224  # pixels a side that a photograph is resized to, as classifiers do
_CELL = 112
_GAP = 4
_TEXT = 16
_MARGIN = 12
_INK, _FAINT, _PAPER = (20, 20, 20), (120, 120, 120), (255, 255, 255)


def _as_classifiers_see_it(image: RgbImage) -> RgbImage:
    """Cuts out the central square and resizes it."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    interpolation = cv2.INTER_AREA if side > _SHOWN else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (_SHOWN, _SHOWN), interpolation=interpolation), np.uint8)


def _cell(image: RgbImage) -> Image.Image:
    """Shows the centre at full size: a smaller picture would hide noise and blur."""
    start = (_SHOWN - _CELL) // 2
    return Image.fromarray(np.ascontiguousarray(image[start : start + _CELL, start : start + _CELL]))


def contact_sheet(image: RgbImage, seed: int, levels: Mapping[str, Levels] | None = None) -> RgbImage:
    """Draws the pristine image and its five severities for each distortion, labelled with type and level.

    Args:
        image: (H, W, 3) uint8 RGB; its central square, at 224 pixels a side, is distorted, and the middle is shown.
        seed: For the random fields.
        levels: Levels by distortion, where they are not to be the package's.

    Returns:
        The sheet, uint8 RGB: two columns of strips, families together.
    """
    given = levels or {}
    source = _as_classifiers_see_it(image)
    names = sorted(list_distortions(), key=lambda name: (get_distortion(name).family, name))
    half = -(-len(names) // 2)
    strip_width = (len(SEVERITIES) + 1) * (_CELL + _GAP) - _GAP
    strip_height = _TEXT + _CELL + _GAP
    size = (2 * strip_width + 3 * _MARGIN, half * strip_height + 2 * _MARGIN)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_TEXT - 4)
    for index, name in enumerate(names):
        column, row = divmod(index, half)
        left = _MARGIN + column * (strip_width + _MARGIN)
        top = _MARGIN + row * strip_height
        own_levels = given.get(name) or get_distortion(name).severity_levels
        rng = np.random.default_rng(version_seed(seed, "", name))
        shown = [source, *apply_severities(source, name, SEVERITIES, rng, levels=own_levels)]
        captions = [name.replace("_", " "), *(f"{level:g}" for level in own_levels)]
        for place, (pixels, caption) in enumerate(zip(shown, captions, strict=True)):
            x = left + place * (_CELL + _GAP)
            draw.text((x, top), caption, fill=_INK if place == 0 else _FAINT, font=font)
            sheet.paste(_cell(pixels), (x, top + _TEXT))
    return np.asarray(sheet)
