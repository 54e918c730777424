"""The code of a registered model: MLflow runs this file when it loads one, and nothing is pickled."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metrifier_core.execution.parallel import parallel_map
from metrifier_core.images import ImageError, RgbImage, check_image, decode_image
from metrifier_core.scoring.metrifier import Metrifier
from metrifier_core.tracking import PythonModel, set_model

_MAX_LEVEL = 255


class RegisteredMetrifier(PythonModel):
    """A metrifier behind MLflow's `predict` and `mlflow models serve`."""

    def load_context(self, context: Any) -> None:
        """Load the metrifier that was logged with this code."""
        self._metrifier = Metrifier.load(Path(context.artifacts["metrifier"]))

    # MLflow reads the annotation of its input.
    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> list[dict[str, Any]]:  # noqa: ARG002
        """Score images on all cores; an image that cannot be used gets an error instead of a score.

        Args:
            context: MLflow's context; unused.
            model_input: A column `image` with an image in each row: the bytes of an image file, these as base64, or
                uint8 RGB of (H, W, 3), as an array or as lists. A list of texts as the only row is as many images.
            params: Unused.

        Returns:
            A record for each image, with `quality` in [0, 1] and `error`; one of the two is None.
        """
        return list(parallel_map(self._answer, _images(model_input)))

    def _answer(self, image: Any) -> dict[str, Any]:
        try:
            return {"quality": self._metrifier.score(_pixels(image)), "error": None}
        except ImageError as error:
            return {"quality": None, "error": str(error)}


def _images(table: pd.DataFrame) -> list[Any]:
    images: list[Any] = table["image"].tolist()
    only = images[0] if len(images) == 1 else None
    # MLflow turns `{"inputs": [text, text]}` into one row, the same as a table whose only cell is a list.
    if isinstance(only, list) and only and all(isinstance(text, str) for text in only):
        return only
    return images


def _pixels(image: Any) -> RgbImage:
    match image:
        case str():
            return decode_image(_from_base64(image))
        case bytes():
            return decode_image(image)
        case list():
            return check_image(_from_lists(image))
        case np.ndarray():
            return check_image(image)
    raise ImageError(f"expected an image file as base64, or uint8 (height, width, 3), got {type(image).__name__}")


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise ImageError(f"not base64: {error}") from error


def _from_lists(rows: list[Any]) -> np.ndarray:
    """Convert the numbers of a JSON array, which has no uint8."""
    try:
        values = np.array(rows)
    except ValueError as error:
        raise ImageError("expected an image, got lists of different lengths") from error
    integers = np.issubdtype(values.dtype, np.integer) and values.size
    if not integers or not 0 <= values.min() <= values.max() <= _MAX_LEVEL:
        raise ImageError("expected whole numbers from 0 to 255, as (height, width, 3)")
    return values.astype(np.uint8)


set_model(RegisteredMetrifier())
