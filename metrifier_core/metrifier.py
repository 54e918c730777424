"""The metrifier as users hold it: one image in, its machine-perceived quality out."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from metrifier_core.images import ImageError, RgbImage, check_image, read_image
from metrifier_core.metrifier_card import MODEL_CARD, MetrifierCard
from metrifier_core.parallel import parallel_map
from metrifier_core.runtimes import RUNTIME_FILES, choose_runtime, load_runtime, runtime_of_file
from metrifier_core.views import views

__all__ = ["MODEL_CARD", "Metrifier", "MetrifierCard", "Score"]

_SCHEMES = ("models:/", "runs:/")


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

    def __init__(self, folder: Path, runtime: str | None = None) -> None:
        """Opens a trained metrifier; `load` also takes its single files and MLflow's names.

        Args:
            folder: The `model` folder of a run.
            runtime: See `load`.

        Raises:
            ValueError: The folder does not hold a metrifier, or the runtime cannot be had.
        """
        card_file = folder / MODEL_CARD
        if not card_file.is_file():
            raise ValueError(f"{folder} does not hold a metrifier: there is no {MODEL_CARD} (expected RUN/model)")
        self.card = MetrifierCard.model_validate_json(card_file.read_text())
        self.runtime = runtime or choose_runtime(folder, self.card.sha256)
        self._network = load_runtime(self.runtime, folder, self.card.sha256)

    @classmethod
    def load(cls, model: str | os.PathLike[str], runtime: str | None = None) -> Self:
        """Loads a metrifier; its files are checked against its card first.

        Args:
            model: The `model` folder of a run, a single file of it whose card lies beside it, or an MLflow model URI
                such as `models:/metrifier@champion`.
            runtime: What scores: "tflite", "onnx" and "keras" are one float32 network, "tflite_int8" is smaller, faster
                and not the same. Where None, the one that a single file is for, else the fastest in float32 that is
                installed.

        Raises:
            ValueError: There is no such model or runtime, a file is not the one that the card describes, or the
                runtime's package is not installed; the message says which.
        """
        name = os.fspath(model)
        if name.startswith(_SCHEMES):
            from metrifier_core.tracking import download_model

            return cls(download_model(name), runtime)
        path = Path(name)
        if path.name not in RUNTIME_FILES.values() and not path.is_file():
            return cls(path, runtime)
        needed = runtime_of_file(path)
        if runtime not in (None, needed):
            raise ValueError(f"{path} is for the runtime '{needed}', not for '{runtime}'")
        return cls(path.parent, needed)

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
        return float(np.clip(np.mean(self._network.run(shown)), 0, 1))

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
