"""Two maps that explain the score of an image: the score of each of its cells, and the loss without each cell."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from metrifier_core.data.views import make_views
from metrifier_core.execution.parallel import parallel_map
from metrifier_core.images import MIN_SIDE, RgbImage

PARTS = 6
"""Cells along the longer side of an image; fewer if they would have less than `MIN_SIDE` pixels."""

Cell = tuple[slice, slice]
Score = Callable[[NDArray[np.uint8]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Two maps of one image, with a value for each cell of a grid.

    Attributes:
        quality: The image's score, in [0, 1].
        parts: (rows, columns) float32 in [0, 1], the score of each cell as an image of its own: low where the image is
            bad, but also where it shows little, such as sky.
        occlusion: (rows, columns) float32 in [-1, 1], what the score loses if the cell is blurred away (occlusion
            sensitivity, Zeiler and Fergus 2014): above 0 where the cell supports the score, below 0 where it lowers
            it, 0 where no view shows it.
    """

    quality: float
    parts: NDArray[np.float32]
    occlusion: NDArray[np.float32]


def grid_cells(height: int, width: int) -> list[list[Cell]]:
    """Cut an image into nearly square cells.

    Args:
        height: Pixels, at least `MIN_SIDE`.
        width: Pixels, at least `MIN_SIDE`.

    Returns:
        Rows of cells, as slices; they cover the image, and each has at least `MIN_SIDE` pixels a side.
    """
    longest = max(height, width)
    return [[(down, right) for right in _cuts(width, longest)] for down in _cuts(height, longest)]


def _cuts(side: int, longest: int) -> list[slice]:
    count = max(1, min(side // MIN_SIDE, round(PARTS * side / longest)))
    return [slice(side * index // count, side * (index + 1) // count) for index in range(count)]


def without_detail(image: RgbImage, rows: int, columns: int) -> RgbImage:
    """Blur an image until each cell has its mean colour, with smooth transitions that add no edges."""
    height, width = image.shape[:2]
    means = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(means, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def explain_image(image: RgbImage, crop: int, score: Score) -> Explanation:
    """Explain an image's score, on all cores; it takes the memory of two more copies of the image.

    Args:
        image: (H, W, 3) uint8 RGB, at least `MIN_SIDE` pixels a side.
        crop: Side of a view, pixels.
        score: Scores views, as `Runtime.run` does; called from several threads.
    """
    rows = grid_cells(*image.shape[:2])
    shape = len(rows), len(rows[0])
    cells = [cell for row in rows for cell in row]
    views = make_views(image, crop)
    scores = score(views)

    def cell_score(cell: Cell) -> float:
        return _mean(score(make_views(image[cell], crop)))

    def loss(occluded: NDArray[np.uint8]) -> float:
        # Few views show a cell: the others keep their scores.
        changed = (occluded != views).any(axis=(1, 2, 3))
        return float((scores[changed] - score(occluded[changed])).sum() / len(views)) if changed.any() else 0.0

    occluded = _occluded_views(image, crop, cells, without_detail(image, *shape))
    return Explanation(
        quality=_mean(scores),
        parts=np.array(list(parallel_map(cell_score, cells)), np.float32).reshape(shape),
        occlusion=np.array(list(parallel_map(loss, occluded)), np.float32).reshape(shape),
    )


def _mean(scores: NDArray[np.float64]) -> float:
    return float(np.clip(np.mean(scores), 0, 1))


def _occluded_views(image: RgbImage, crop: int, cells: list[Cell], blurred: RgbImage) -> Iterator[NDArray[np.uint8]]:
    """Yield the views of the image without each cell in turn, using one copy of it."""
    canvas = image.copy()
    for cell in cells:
        canvas[cell] = blurred[cell]
        yield make_views(canvas, crop)
        canvas[cell] = image[cell]
