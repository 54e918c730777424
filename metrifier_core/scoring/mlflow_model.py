"""The code of a registered model, which MLflow runs when it loads one: plain code, nothing pickled."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metrifier_core.execution.parallel import parallel_map
from metrifier_core.images import ImageError, RgbImage, check_image, decode_image
from metrifier_core.scoring.metrifier import Metrifier
from metrifier_core.tracking import PythonModel, set_model

_BRIGHTEST = 255


class RegisteredMetrifier(PythonModel):
    """A metrifier behind MLflow's `predict` and `mlflow models serve`."""

    def load_context(self, context: Any) -> None:
        """Loads the metrifier that was logged with this code."""
        artifact = Path(context.artifacts["metrifier"])
        self._metrifier = Metrifier.load(artifact)

    # MLflow reads the annotation of its input.
    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> list[dict[str, Any]]:  # noqa: ARG002
        """Scores images on all cores; a bad one gets its error, and the others their scores.

        Args:
            context: MLflow's own.
            model_input: A column `image`, a row an image: the bytes of an image file, these as base64, or uint8 RGB of
                (H, W, 3), as an array or as lists. A list of texts as the only row is as many images.
            params: There are none.

        Returns:
            A record a row, with `quality` in [0, 1] and `error`; one of the two is None.
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
    # MLflow makes one row of `{"inputs": [text, text]}`, which nothing tells from a table whose only cell is a list.
    if isinstance(only, list) and only and all(isinstance(text, str) for text in only):
        return only
    return images


def _pixels(image: Any) -> RgbImage:
    """Turns what a request may hold into pixels.

    Raises:
        ImageError: It is no image; the message says why.
    """
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
    """Reads the numbers of a JSON array, which knows no uint8."""
    try:
        values = np.array(rows)
    except ValueError as error:
        raise ImageError("lists of different lengths are no image") from error
    if (
        not np.issubdtype(values.dtype, np.integer)
        or values.size == 0
        or not 0 <= values.min() <= values.max() <= _BRIGHTEST
    ):
        raise ImageError("expected whole numbers from 0 to 255, as (height, width, 3)")
    return values.astype(np.uint8)


set_model(RegisteredMetrifier())
