"""Scored images from the worst to the best as one HTML file with thumbnails, however many there are."""

import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import cv2
import numpy as np

from metrifier_core.data.splits import stable_fraction
from metrifier_core.execution.parallel import parallel_map
from metrifier_core.images import ImageError, RgbImage, read_image
from metrifier_core.report.formatting import breakable
from metrifier_core.report.page import render_page
from metrifier_core.scoring.score import Score, decide, round_quality
from metrifier_core.scoring.score_table import shown_path

_DRAWN = 300
_EXTREME = 50
MAX_SHOWN = _DRAWN + 3 * _EXTREME
"""Images on a page: some of all, the worst, the best, and those next to the threshold."""

_MAX_ERRORS = 50
_SIDE = 240  # pixels of a thumbnail's longer side, for screens that show two a CSS pixel
_JPEG_QUALITY = 80
_SMALL = 100  # pixels: an image with shorter sides is enlarged pixel by pixel


class _Image(NamedTuple):
    path: str
    quality: float


@dataclass
class _Smallest:
    """The images with the smallest keys of all that were added; no more than `most` are held."""

    key: Callable[[_Image], float]
    most: int
    held: list[tuple[float, _Image]] = field(default_factory=list)

    def add(self, image: _Image) -> None:
        (heappush if len(self.held) < self.most else heappushpop)(self.held, (-self.key(image), image))


class _Thumbnail(NamedTuple):
    jpeg: bytes
    width: int
    height: int
    small: bool


def _shrink(image: RgbImage) -> _Thumbnail:
    """Makes a JPEG whose longer side is `_SIDE` pixels; a smaller image keeps its size."""
    height, width = image.shape[:2]
    longer = max(height, width)
    if longer > _SIDE:
        width, height = (max(1, round(side * _SIDE / longer)) for side in (width, height))
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1]
    return _Thumbnail(encoded.tobytes(), width, height, longer < _SMALL)


def _read_thumbnail(image: _Image) -> _Thumbnail | None:
    try:
        return _shrink(read_image(image.path))
    except ImageError:  # it was there when it was scored
        return None


def _jpeg_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{b64encode(jpeg).decode('ascii')}"


def _link(path: str, folder: Path) -> str:
    """Says where a file is, seen from a folder."""
    return quote(os.fsencode(os.path.relpath(path, folder)))


class Gallery:
    """Collects scores, remembers no more than it shows, and draws these."""

    def __init__(self, threshold: float | None = None) -> None:
        """Begins an empty gallery.

        Args:
            threshold: The least quality that is accepted; without one nothing is decided.
        """
        self._threshold = threshold
        # A share of all names that is the same in whatever order they come.
        self._chosen = [
            _Smallest(lambda image: stable_fraction(shown_path(image.path)), _DRAWN),
            _Smallest(lambda image: image.quality, _EXTREME),
            _Smallest(lambda image: -image.quality, _EXTREME),
        ]
        if threshold is not None:
            self._chosen.append(_Smallest(lambda image: abs(image.quality - threshold), _EXTREME))
        self._scored = 0
        self._accepted = 0
        self._failed = 0
        self._errors: list[dict[str, str]] = []

    def add(self, score: Score) -> None:
        """Takes note of one file's score."""
        if score.quality is None:
            self._failed += 1
            if len(self._errors) < _MAX_ERRORS:
                self._errors.append({"path": shown_path(score.path), "reason": str(score.error)})
            return
        image = _Image(score.path, round_quality(score.quality))
        self._scored += 1
        self._accepted += self._decision(image) == "accept"
        for chosen in self._chosen:
            chosen.add(image)

    def _decision(self, image: _Image) -> str:
        return "" if self._threshold is None else decide(image.quality, self._threshold)

    def render(self, folder: Path) -> str:
        """Reads the chosen images once more and draws the page.

        Args:
            folder: Where the page will lie; its links to the images are relative to it.

        Returns:
            HTML that needs nothing else to be looked at.
        """
        images = {image for chosen in self._chosen for _, image in chosen.held}
        ordered = sorted(images, key=lambda image: (image.quality, image.path))
        shown: dict[str, list[dict[str, Any]]] = {}
        for image, thumbnail in zip(ordered, parallel_map(_read_thumbnail, ordered), strict=True):
            if thumbnail is not None:
                row = {
                    "path": shown_path(image.path),
                    "name": Path(shown_path(image.path)).name,
                    "quality": image.quality,
                    "link": _link(image.path, folder),
                    "thumbnail": thumbnail,
                }
                shown.setdefault(self._decision(image), []).append(row)
        return render_page(
            "gallery.html.jinja",
            {"breakable": breakable, "jpeg_uri": _jpeg_uri},
            threshold=self._threshold,
            scored=self._scored,
            accepted=self._accepted,
            failed=self._failed,
            errors=self._errors,
            shown=shown,
            extreme=_EXTREME,
        )
