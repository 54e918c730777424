"""What a metrifier is asked for in training: the right quality, the right order, and each worker's own judgement."""

from typing import Any

import keras

_MIN_DIFFERENCE = 0.05  # of quality: nearer versions have no order that the label could be trusted in


def _mean_where(values: Any, chosen: Any) -> Any:
    """Averages (N, N) values over the chosen pairs; 0 where there are none."""
    ops = keras.ops
    chosen = ops.cast(chosen, values.dtype)
    return ops.sum(values * chosen) / ops.maximum(ops.sum(chosen), 1.0)


class MetrifierLoss(keras.losses.Loss):
    """Soft-label cross-entropy of the quality, logistic loss of ordered pairs, and cross-entropy of the workers' heads.

    The pairwise part is RankNet's (Burges et al. 2005): the mean of log(1 + exp(-(s_a - s_b))) over pairs in which
    a is better than b by at least 0.05. Pairs of one source image count for half of it, other pairs for the other
    half: the first tell what a distortion does, the second what the image shows.
    """

    def __init__(self, ranking_weight: float, worker_weight: float, name: str = "metrifier_loss") -> None:
        """Weighs the parts.

        Args:
            ranking_weight: Of the pairwise part; the cross-entropy of the quality has 1.
            worker_weight: Of the mean cross-entropy of the workers' heads.
            name: Of the loss.
        """
        super().__init__(name=name, reduction="sum_over_batch_size")
        self.ranking_weight = ranking_weight
        self.worker_weight = worker_weight

    def call(self, truth: Any, logits: Any) -> Any:
        """Computes the loss of a batch.

        Args:
            truth: (N, 2 + W) float32: quality, a number that tells source images apart, each worker's TCP.
            logits: (N, 1 + W): of the score and of each worker's head.

        Returns:
            (N,), the loss of a version; of the pairwise part each has its mean over the batch.
        """
        ops = keras.ops
        cross_entropy = keras.losses.binary_crossentropy
        quality, source = truth[:, 0], truth[:, 1]
        loss = cross_entropy(truth[:, :1], logits[:, :1], from_logits=True)
        if self.worker_weight:
            loss += self.worker_weight * cross_entropy(truth[:, 2:], logits[:, 1:], from_logits=True)
        if self.ranking_weight:
            better = quality[:, None] - quality[None, :] >= _MIN_DIFFERENCE
            wrong = ops.softplus(logits[None, :, 0] - logits[:, None, 0])
            same = source[:, None] == source[None, :]
            within = _mean_where(wrong, ops.logical_and(better, same))
            across = _mean_where(wrong, ops.logical_and(better, ops.logical_not(same)))
            loss += self.ranking_weight * (within + across) / 2
        return loss
