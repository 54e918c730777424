"""Views that represent a split of the data set."""

import numpy as np
from numpy.typing import NDArray

from metrifier_core.data.dataset import QualityDataset
from metrifier_core.data.views import central_view
from metrifier_core.images import decode_version

_GROUPS = 16


def representative_views(
    dataset: QualityDataset, crop: int, split: str = "train", count: int = 128
) -> NDArray[np.uint8]:
    """Sample views of one split's versions evenly from the whole data set.

    Args:
        dataset: Versions and their quality.
        crop: Side of a view in pixels.
        split: Split to sample.
        count: Maximum number of views; a few hundred are enough to calibrate int8.

    Returns:
        (N, crop, crop, 3) uint8 RGB, N from 1 to `count`.

    Raises:
        ValueError: The split has no versions.
    """
    views: list[NDArray[np.uint8]] = []
    # Evenly spread row groups first, then the others until there are enough views.
    spread = np.linspace(0, len(dataset) - 1, min(_GROUPS, len(dataset))).round().astype(int)
    for group in dict.fromkeys([*spread.tolist(), *range(len(dataset))]):
        rows = list(dataset.rows(group, split))
        wanted = min(len(rows), -(-count // len(spread)), count - len(views))
        places = np.linspace(0, len(rows) - 1, wanted).round().astype(int)
        views += [central_view(decode_version(rows[place]["image"]["bytes"]), crop) for place in places]
        if len(views) >= count:
            break
    if not views:
        raise ValueError(f"there are no {split} versions to calibrate and compare the exports on")
    return np.stack(views)
