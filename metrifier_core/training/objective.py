"""The loss of a metrifier: quality, order of pairs, and each worker's true-class probability."""

from typing import Any

import keras

_MIN_DIFFERENCE = 0.05  # of quality, below which the label does not order two versions reliably


def _mean_where(values: Any, chosen: Any) -> Any:
    """Average (N, N) values over the chosen pairs; 0 if there are none."""
    ops = keras.ops
    chosen = ops.cast(chosen, values.dtype)
    return ops.sum(values * chosen) / ops.maximum(ops.sum(chosen), 1.0)


class MetrifierLoss(keras.losses.Loss):
    """The sum of soft-label cross-entropy, logistic loss of ordered pairs, and cross-entropy of the workers' heads.

    The pairwise part is RankNet's (Burges et al. 2005): the mean of log(1 + exp(-(s_a - s_b))) over pairs in which
    a is better than b by at least 0.05. Half of it is the mean over pairs of one source image, which show the effect
    of a distortion, half the mean over other pairs, which show the effect of the content.
    """

    def __init__(self, ranking_weight: float, worker_weight: float, name: str = "metrifier_loss") -> None:
        """Set the weights of the parts.

        Args:
            ranking_weight: Weight of the pairwise part; the cross-entropy of the quality has 1.
            worker_weight: Weight of the mean cross-entropy of the workers' heads.
            name: Name of the loss.
        """
        super().__init__(name=name, reduction="sum_over_batch_size")
        self.ranking_weight = ranking_weight
        self.worker_weight = worker_weight

    def call(self, truth: Any, logits: Any) -> Any:
        """Compute the loss of a batch.

        Args:
            truth: (N, 2 + W) float32: quality, index of the source image, each worker's TCP.
            logits: (N, 1 + W): of the score and of each worker's head.

        Returns:
            (N,) losses of the versions, each with the batch's mean of the pairwise part.
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
