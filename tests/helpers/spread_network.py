"""An untrained network whose scores differ from view to view as a trained one's do."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrifier_core.architectures import create_network
from metrifier_core.architectures.head import SCORE_LOGIT
from metrifier_core.execution.determinism import start_training


def make_spread_network(views: NDArray[np.uint8]) -> Any:
    """Return a nano that depends on the views alone; their logits have mean 0 and deviation 1."""
    start_training(0)
    network = create_network("nano")
    scores = np.asarray(network(views), np.float64)
    logits = np.log(scores / (1 - scores))
    head = network.get_layer(SCORE_LOGIT)
    kernel, bias = head.get_weights()
    head.set_weights([kernel / logits.std(), (bias - logits.mean()) / logits.std()])
    return network
