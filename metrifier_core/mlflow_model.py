"""The code of a registered model, which MLflow runs when it loads one: plain code, nothing pickled."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrifier_core.metrifier import Metrifier
from metrifier_core.tracking import PythonModel, set_model


class RegisteredMetrifier(PythonModel):
    """A metrifier behind MLflow's `predict`."""

    def load_context(self, context: Any) -> None:
        """Loads the metrifier that was logged with this code."""
        artifact = Path(context.artifacts["metrifier"])
        self._metrifier = Metrifier.load(artifact)

    # MLflow reads the annotation of its input, and knows the plain array alone.
    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> NDArray[np.float64]:  # noqa: ARG002
        """Scores a batch of (N, H, W, 3) uint8 RGB images; returns (N,) qualities in [0, 1]."""
        return np.array([self._metrifier.evaluate(image) for image in model_input])


set_model(RegisteredMetrifier())
