"""What a network in training makes of the versions of a split."""

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
    """Scores and the quality that they should have had.

    Attributes:
        views: Scores of single views, (K,) in [0, 1].
        quality: Of each version, (N,) in [0, 1].
        version: Which version each view is of, (K,); where None, each has one.
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
        """The rank correlation; 0 where either is constant, NaN where a score is."""
        if np.ptp(self.scores) == 0 or np.ptp(self.quality) == 0:
            return 0.0
        return float(spearmanr(self.scores, self.quality).statistic)


def score_split(
    network: Any, dataset: QualityDataset, split: str, *, crop: int, batch_size: int, every_view: bool = False
) -> ScoredSplit:
    """Scores every version of a split.

    Args:
        network: A Keras model from views to (N, 1) scores.
        dataset: Versions and their quality.
        split: Its name.
        crop: Pixels a side of a view.
        batch_size: Views a call.
        every_view: Whether a version is seen through all views that a `Metrifier` takes of it, not the central one.

    Returns:
        The scores, in the order of the versions.

    Raises:
        ValueError: The split has no versions.
    """

    def show(row: Mapping[str, Any]) -> tuple[NDArray[np.uint8], float]:
        image = decode_version(row["image"]["bytes"])
        return make_views(image, crop) if every_view else central_view(image, crop)[None], row["quality"]

    import tensorflow as tf

    # Not Keras' own `predict_on_batch`: where several devices share a batch, it shows the whole of it to each.
    shown = tf.TensorSpec((None, crop, crop, 3), tf.uint8)
    predict = tf.function(lambda pixels: network(pixels, training=False), input_signature=[shown], autograph=False)
    quality: list[float] = []
    version: list[int] = []

    def each() -> Iterator[NDArray[np.uint8]]:
        versions = parallel_map(show, dataset.iterate(split))
        for shown_of, value in progress(versions, f"score {split}", total=dataset.count(split), unit="version"):
            version.extend([len(quality)] * len(shown_of))
            quality.append(value)
            yield from shown_of

    scores = [predict(np.stack(batch)).numpy().astype(np.float64)[:, 0] for batch in batched(each(), batch_size)]
    if not quality:
        raise ValueError(f"no usable image for the split '{split}'")
    return ScoredSplit(np.concatenate(scores), np.asarray(quality), np.asarray(version))
