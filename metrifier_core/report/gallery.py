"""The gallery: scored images from the worst to the best, as one HTML file with a bounded number of thumbnails."""

import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import cv2

from metrifier_core.data.splits import stable_fraction
from metrifier_core.execution.parallel import parallel_map
from metrifier_core.images import ImageError, read_image
from metrifier_core.report.formatting import breakable
from metrifier_core.report.page import render_page
from metrifier_core.report.shrinking import shrink
from metrifier_core.scoring.score import Score, decide, round_quality
from metrifier_core.scoring.score_table import shown_path

_SAMPLE = 300
_EXTREME = 50
MAX_SHOWN = _SAMPLE + 3 * _EXTREME
"""Limit of images on a page: a sample of all, the worst, the best, and those next to the threshold."""

_MAX_ERRORS = 50
_THUMBNAIL = 240  # pixels of the longer side, two for each CSS pixel
_SMALL = 100  # pixels; an image with shorter sides is enlarged pixel by pixel


class _Image(NamedTuple):
    path: str
    quality: float


@dataclass
class _Smallest:
    """The `size` images with the smallest keys of all that were added."""

    key: Callable[[_Image], float]
    size: int
    held: list[tuple[float, _Image]] = field(default_factory=list)

    def add(self, image: _Image) -> None:
        (heappush if len(self.held) < self.size else heappushpop)(self.held, (-self.key(image), image))


def _make_entry(image: _Image, folder: Path) -> dict[str, Any] | None:
    """Return what the template shows of an image; None if it has been deleted or changed since it was scored."""
    try:
        pixels = shrink(read_image(image.path), _THUMBNAIL)
    except ImageError:
        return None
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    height, width, _ = pixels.shape
    return {
        "path": shown_path(image.path),
        "name": Path(shown_path(image.path)).name,
        "quality": image.quality,
        "link": quote(os.fsencode(os.path.relpath(image.path, folder))),
        "thumbnail": f"data:image/jpeg;base64,{b64encode(jpeg.tobytes()).decode('ascii')}",
        "width": width,
        "height": height,
        "small": max(height, width) < _SMALL,
    }


class Gallery:
    """A page of scored images, which keeps no more of them in memory than it shows."""

    def __init__(self, threshold: float | None = None) -> None:
        """Create an empty gallery; the threshold is the lowest quality that is accepted, None to show no decisions."""
        self._threshold = threshold
        self._chosen = [
            # A sample that does not depend on the order.
            _Smallest(lambda image: stable_fraction(shown_path(image.path)), _SAMPLE),
            _Smallest(lambda image: image.quality, _EXTREME),
            _Smallest(lambda image: -image.quality, _EXTREME),
        ]
        if threshold is not None:
            self._chosen.append(_Smallest(lambda image: abs(image.quality - threshold), _EXTREME))
        self._scored = self._accepted = self._failed = 0
        self._errors: list[dict[str, str]] = []

    def __repr__(self) -> str:
        return f"Gallery(threshold={self._threshold}, scored={self._scored}, failed={self._failed})"

    def add(self, score: Score) -> None:
        """Add one file's score."""
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
        """Read the shown images again and return self-contained HTML, with links to them relative to its folder."""
        images = {image for chosen in self._chosen for _, image in chosen.held}
        ordered = sorted(images, key=lambda image: (image.quality, image.path))
        shown: dict[str, list[dict[str, Any]]] = {}
        entries = parallel_map(lambda image: _make_entry(image, folder), ordered)
        for image, entry in zip(ordered, entries, strict=True):
            if entry is not None:
                shown.setdefault(self._decision(image), []).append(entry)
        return render_page(
            "gallery.html.jinja",
            {"breakable": breakable},
            threshold=self._threshold,
            scored=self._scored,
            accepted=self._accepted,
            failed=self._failed,
            errors=self._errors,
            shown=shown,
            extreme=_EXTREME,
        )
