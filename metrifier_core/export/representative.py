"""Views that stand for all that a network was trained on."""

import numpy as np
from numpy.typing import NDArray

from metrifier_core.data.dataset import QualityDataset
from metrifier_core.data.views import central_view
from metrifier_core.images import decode_version

_GROUPS = 16


def representative_views(
    dataset: QualityDataset, crop: int, split: str = "train", count: int = 128
) -> NDArray[np.uint8]:
    """Takes views of one split's versions evenly from all over the data set.

    Args:
        dataset: The versions and their quality.
        crop: Pixels a side of a view.
        split: Which versions.
        count: How many views, where there are as many; a few hundred are enough to calibrate integers.

    Returns:
        (N, crop, crop, 3) uint8 RGB, N from 1 to `count`.

    Raises:
        ValueError: There are no versions of this split.
    """
    found: list[NDArray[np.uint8]] = []
    # Every group once, evenly spread ones first: a few are read, however many there are.
    spread = np.linspace(0, len(dataset) - 1, min(_GROUPS, len(dataset))).round().astype(int)
    for group in dict.fromkeys([*spread.tolist(), *range(len(dataset))]):
        rows = list(dataset.rows(group, split))
        wanted = min(len(rows), -(-count // len(spread)), count - len(found))
        places = np.linspace(0, len(rows) - 1, wanted).round().astype(int)
        found += [central_view(decode_version(rows[place]["image"]["bytes"]), crop) for place in places]
        if len(found) >= count:
            break
    if not found:
        raise ValueError(f"there are no {split} versions to calibrate and compare the exports on")
    return np.stack(found)
