"""What a network in training makes of the versions of a split, each seen through its central view."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from metrifier_core.dataset import QualityDataset
from metrifier_core.images import decode_version
from metrifier_core.parallel import batched, parallel_map
from metrifier_core.progress import progress
from metrifier_core.views import central_view

__all__ = ["ScoredSplit", "score_split"]

_LEAST = 1e-7


class ScoredSplit(NamedTuple):
    """Scores and the quality that they should have had.

    Attributes:
        scores: (N,) in [0, 1].
        quality: (N,) in [0, 1].
    """

    scores: NDArray[np.float64]
    quality: NDArray[np.float64]

    @property
    def cross_entropy(self) -> float:
        """The mean soft-label cross-entropy, in nats."""
        scores = np.clip(self.scores, _LEAST, 1 - _LEAST)
        return float(-np.mean(self.quality * np.log(scores) + (1 - self.quality) * np.log(1 - scores)))

    @property
    def spearman(self) -> float:
        """The rank correlation; 0 where either is constant, NaN where a score is."""
        if np.ptp(self.scores) == 0 or np.ptp(self.quality) == 0:
            return 0.0
        return float(spearmanr(self.scores, self.quality).statistic)


def score_split(network: Any, dataset: QualityDataset, split: str, *, crop: int, batch_size: int) -> ScoredSplit:
    """Scores every version of a split.

    Args:
        network: A Keras model from views to (N, 1) scores.
        dataset: Versions and their quality.
        split: Its name.
        crop: Pixels a side of a view.
        batch_size: Views a call.

    Returns:
        The scores, in the order of the versions.

    Raises:
        ValueError: The split has no versions.
    """

    def view(row: Mapping[str, Any]) -> tuple[NDArray[np.uint8], float]:
        return central_view(decode_version(row["image"]["bytes"]), crop), row["quality"]

    import tensorflow as tf

    # Not Keras' own `predict_on_batch`: where several devices share a batch, it shows the whole of it to each.
    shown = tf.TensorSpec((None, crop, crop, 3), tf.uint8)
    predict = tf.function(lambda pixels: network(pixels, training=False), input_signature=[shown], autograph=False)
    scores: list[NDArray[np.float64]] = []
    quality: list[float] = []
    views = progress(
        parallel_map(view, dataset.iterate(split)), f"score {split}", total=dataset.count(split), unit="version"
    )
    for batch in batched(views, batch_size):
        pixels = np.stack([pixels for pixels, _ in batch])
        scores.append(predict(pixels).numpy().astype(np.float64)[:, 0])
        quality += [value for _, value in batch]
    if not quality:
        raise ValueError(f"no usable image for the split '{split}'")
    return ScoredSplit(np.concatenate(scores), np.asarray(quality))
