"""Where the quality of an image comes from: each part's own score, and what the image loses without it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from metrifier_core.data.views import make_views
from metrifier_core.execution.parallel import parallel_map
from metrifier_core.images import MIN_SIDE, RgbImage

PARTS = 6
"""Parts along the longer side of an image; there are fewer where they would have less than `MIN_SIDE` pixels."""

Score = Callable[[NDArray[np.uint8]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Two maps of one image, a value a part.

    Attributes:
        quality: The image's score, in [0, 1].
        parts: (rows, columns) float32 in [0, 1], the score of each part as an image of its own: low where the image is
            bad. It also tells parts that hold much from parts that hold little, such as sky.
        occlusion: (rows, columns) float32 in [-1, 1], what the score loses where the part is blurred away (occlusion
            sensitivity, Zeiler and Fergus 2014): above 0 where the score rests on the part, below 0 where the part
            costs quality, 0 where no view shows it.
    """

    quality: float
    parts: NDArray[np.float32]
    occlusion: NDArray[np.float32]


def grid_cells(height: int, width: int) -> list[list[tuple[slice, slice]]]:
    """Cuts an image into about square parts.

    Args:
        height: In pixels, at least `MIN_SIDE`.
        width: The same.

    Returns:
        Rows of parts, as slices; they cover the image, and each has at least `MIN_SIDE` pixels a side.
    """
    longest = max(height, width)
    return [[(down, right) for right in _cuts(width, longest)] for down in _cuts(height, longest)]


def _cuts(side: int, longest: int) -> list[slice]:
    count = max(1, min(side // MIN_SIDE, round(PARTS * side / longest)))
    return [slice(side * index // count, side * (index + 1) // count) for index in range(count)]


def without_detail(image: RgbImage, rows: int, columns: int) -> RgbImage:
    """Blurs an image until it has one colour a part: their means, with a smooth passage from one to the next.

    Plain parts would have edges that are not in the image.

    Args:
        image: (H, W, 3) uint8 RGB.
        rows: Of its parts.
        columns: The same.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    means = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(means, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def explain_image(image: RgbImage, crop: int, score: Score) -> Explanation:
    """Explains an image's score, on all cores; memory holds two more copies of the image.

    Args:
        image: (H, W, 3) uint8 RGB, at least `MIN_SIDE` pixels a side.
        crop: Pixels a side of a view.
        score: Scores views, as `Runtime.run` does; called from several threads.
    """
    rows = grid_cells(*image.shape[:2])
    shape = len(rows), len(rows[0])
    parts = [part for row in rows for part in row]
    shown = make_views(image, crop)
    scores = score(shown)

    def own_score(part: tuple[slice, slice]) -> float:
        return _mean(score(make_views(image[part], crop)))

    def loss(others: NDArray[np.uint8]) -> float:
        # A part is seen by few of the crops: the other views keep their scores.
        changed = (others != shown).any(axis=(1, 2, 3))
        return float((scores[changed] - score(others[changed])).sum() / len(shown)) if changed.any() else 0.0

    without = _views_without(image, crop, parts, without_detail(image, *shape))
    return Explanation(
        quality=_mean(scores),
        parts=np.array(list(parallel_map(own_score, parts)), np.float32).reshape(shape),
        occlusion=np.array(list(parallel_map(loss, without)), np.float32).reshape(shape),
    )


def _mean(scores: NDArray[np.float64]) -> float:
    return float(np.clip(np.mean(scores), 0, 1))


def _views_without(
    image: RgbImage, crop: int, parts: list[tuple[slice, slice]], blurred: RgbImage
) -> Iterator[NDArray[np.uint8]]:
    """Makes the views of the image without each part in turn, on one copy of it."""
    canvas = image.copy()
    for part in parts:
        canvas[part] = blurred[part]
        yield make_views(canvas, crop)
        canvas[part] = image[part]
