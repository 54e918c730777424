"""The metrifier as users hold it: one image in, its machine-perceived quality out."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from metrifier_core.images import ImageError, RgbImage, check_image, read_image
from metrifier_core.parallel import parallel_map
from metrifier_core.settings import Settings
from metrifier_core.views import views

__all__ = ["MODEL_CARD", "Metrifier", "MetrifierCard", "Score"]

MODEL_CARD = "metrifier.json"
_SCHEMES = ("models:/", "runs:/")


class MetrifierCard(Settings):
    """What stands beside a metrifier's weights.

    Attributes:
        architecture: Name of its network.
        crop: Pixels a side of its views.
        package_version: Version that trained it.
        fingerprint: Identity of what it was made from.
        parameters: Number of weights.
        best_epoch: The epoch whose weights were kept, from 1.
        validation_spearman: Of those weights.
        sha256: Of each file, by name.
    """

    architecture: str
    crop: int
    package_version: str
    fingerprint: str
    parameters: int
    best_epoch: int
    validation_spearman: float
    sha256: dict[str, str]


@dataclass(frozen=True)
class Score:
    """The score of one file: a quality, or the error that stood in its way."""

    path: str
    quality: float | None
    error: str | None


class Metrifier:
    """Predicts how well image classifiers will do on an image, from 0 (not at all) to 1 (as well as ever).

    Example:
        >>> metrifier = Metrifier.load("runs/digits/model")  # doctest: +SKIP
        >>> metrifier("photo.jpg")  # doctest: +SKIP
        0.83
    """

    def __init__(self, folder: Path) -> None:
        """Opens a trained metrifier; `load` also takes MLflow's names.

        Args:
            folder: The `model` folder of a run.

        Raises:
            ValueError: The folder does not hold a metrifier.
        """
        import onnxruntime

        card_file = folder / MODEL_CARD
        if not card_file.is_file():
            raise ValueError(f"{folder} does not hold a metrifier: there is no {MODEL_CARD} (expected RUN/model)")
        self.card = MetrifierCard.model_validate_json(card_file.read_text())
        weights_file = folder / "metrifier.onnx"
        weights = weights_file.read_bytes() if weights_file.is_file() else b""
        if hashlib.sha256(weights).hexdigest() != self.card.sha256.get(weights_file.name):
            raise ValueError(f"{weights_file} is missing or is not the file that {MODEL_CARD} describes")
        options = onnxruntime.SessionOptions()
        # An image a thread beats all threads on one small image.
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    @classmethod
    def load(cls, model: str | os.PathLike[str]) -> Self:
        """Loads a metrifier.

        Args:
            model: The `model` folder of a run, or an MLflow model URI such as `models:/metrifier@champion`.

        Raises:
            ValueError: There is no such model.
        """
        name = os.fspath(model)
        if name.startswith(_SCHEMES):
            from metrifier_core.tracking import download_model

            return cls(download_model(name))
        return cls(Path(name))

    def __call__(self, image: RgbImage | str | os.PathLike[str]) -> float:
        """Scores one image; the same as `evaluate`."""
        return self.evaluate(image)

    def evaluate(self, image: RgbImage | str | os.PathLike[str]) -> float:
        """Scores one image.

        Args:
            image: (H, W, 3) uint8 RGB, at least 8 pixels a side, or the path of an image file.

        Returns:
            Predicted quality in [0, 1]; higher is better.

        Raises:
            ImageError: The image cannot be used; the message says why.
        """
        pixels = read_image(image) if isinstance(image, str | os.PathLike) else check_image(image)
        return self.score_views(views(pixels, self.card.crop))

    def score_views(self, shown: NDArray[np.uint8]) -> float:
        """Scores one image by the views that `views` made of it.

        Args:
            shown: (V, crop, crop, 3) uint8 RGB.

        Returns:
            The mean of their scores, in [0, 1].
        """
        (scores,) = self._session.run(None, {self._input: shown})
        return float(np.clip(np.mean(scores, dtype=np.float64), 0, 1))

    def evaluate_many(self, paths: Iterable[str | os.PathLike[str]]) -> Iterator[Score]:
        """Scores image files on all cores; a bad one gets its error, and the others their scores.

        Every image is a batch of its own views, so that its score never depends on its neighbours.

        Args:
            paths: Image files; read only a little ahead of the results.

        Yields:
            A score a file, in the order of the files.
        """
        return parallel_map(self._score, paths)

    def _score(self, path: str | os.PathLike[str]) -> Score:
        try:
            return Score(os.fspath(path), self.evaluate(path), None)
        except ImageError as error:
            return Score(os.fspath(path), None, str(error))
