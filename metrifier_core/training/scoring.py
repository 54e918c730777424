"""The scores of a network in training for the versions of a split."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from metrifier_core.data.dataset import QualityDataset
from metrifier_core.data.views import central_view, make_views
from metrifier_core.execution.parallel import batched, parallel_map
from metrifier_core.execution.progress import progress
from metrifier_core.images import decode_version

_MIN_SCORE = 1e-7


class ScoredSplit(NamedTuple):
    """Scores and the qualities that they predict.

    Attributes:
        views: Scores of single views, (K,) in [0, 1].
        quality: Quality of each version, (N,) in [0, 1].
        version: Index of each view's version, (K,); None if each version has one view.
    """

    views: NDArray[np.float64]
    quality: NDArray[np.float64]
    version: NDArray[np.int64] | None = None

    @property
    def scores(self) -> NDArray[np.float64]:
        """The score of each version, the mean over its views, (N,) in [0, 1]."""
        if self.version is None:
            return self.views
        return np.bincount(self.version, self.views) / np.bincount(self.version)

    @property
    def cross_entropy(self) -> float:
        """The mean soft-label cross-entropy, in nats."""
        scores = np.clip(self.scores, _MIN_SCORE, 1 - _MIN_SCORE)
        return float(-np.mean(self.quality * np.log(scores) + (1 - self.quality) * np.log(1 - scores)))

    @property
    def spearman(self) -> float:
        """The rank correlation; 0 if either is constant, NaN if a score is."""
        if np.ptp(self.scores) == 0 or np.ptp(self.quality) == 0:
            return 0.0
        return float(spearmanr(self.scores, self.quality).statistic)


def score_split(
    network: Any, dataset: QualityDataset, split: str, *, crop: int, batch_size: int, every_view: bool = False
) -> ScoredSplit:
    """Score every version of a split, in order.

    Args:
        network: Keras model from views to (N, 1) scores.
        dataset: Versions and their quality.
        split: Name of the split.
        crop: Side of a view in pixels.
        batch_size: Views per call.
        every_view: Score all views that a `Metrifier` takes of a version, not only the central one.

    Raises:
        ValueError: The split has no versions.
    """
    import tensorflow as tf

    def decode(row: Mapping[str, Any]) -> tuple[NDArray[np.uint8], float]:
        image = decode_version(row["image"]["bytes"])
        return make_views(image, crop) if every_view else central_view(image, crop)[None], row["quality"]

    # Keras' `predict_on_batch` would give the whole batch to each of several devices.
    signature = [tf.TensorSpec((None, crop, crop, 3), tf.uint8)]
    predict = tf.function(lambda pixels: network(pixels, training=False), input_signature=signature, autograph=False)
    quality: list[float] = []
    version: list[int] = []

    def views() -> Iterator[NDArray[np.uint8]]:
        versions = parallel_map(decode, dataset.iterate(split))
        for version_views, value in progress(versions, f"score {split}", total=dataset.count(split), unit="version"):
            version.extend([len(quality)] * len(version_views))
            quality.append(value)
            yield from version_views

    scores = [predict(np.stack(batch)).numpy().astype(np.float64)[:, 0] for batch in batched(views(), batch_size)]
    if not quality:
        raise ValueError(f"no usable image for the split '{split}'")
    return ScoredSplit(np.concatenate(scores), np.asarray(quality), np.asarray(version))
