"""The metrifier as users hold it: one image in, its machine-perceived quality out."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from metrifier_core.data.metrifier_card import MODEL_CARD, MetrifierCard
from metrifier_core.data.views import make_views
from metrifier_core.execution.parallel import parallel_map
from metrifier_core.images import ImageError, RgbImage, check_image, read_image
from metrifier_core.runtimes import RUNTIME_FILES, choose_runtime, load_runtime, runtime_of_file
from metrifier_core.scoring.explanation import Explanation, explain_image
from metrifier_core.scoring.score import Score, round_quality

Item = TypeVar("Item")

_SCHEMES = ("models:/", "runs:/")

_logger = logging.getLogger(__name__)


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
        self._folder = folder

    def __reduce__(self) -> tuple[type[Self], tuple[Path, str]]:
        """Is loaded anew by a process that it is sent to, as a data loader's workers are."""
        return type(self), (self._folder, self.runtime)

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
        """Scores one image; the same as `score`."""
        return self.score(image)

    def score(self, image: RgbImage | str | os.PathLike[str]) -> float:
        """Scores one image.

        Args:
            image: (H, W, 3) uint8 RGB, at least 8 pixels a side, or the path of an image file.

        Returns:
            Predicted quality in [0, 1]; higher is better.

        Raises:
            ImageError: The image cannot be used; the message says why.
        """
        return self.score_views(make_views(_pixels(image), self.card.crop))

    def score_views(self, shown: NDArray[np.uint8]) -> float:
        """Scores one image by the views that `make_views` made of it.

        Args:
            shown: (V, crop, crop, 3) uint8 RGB.

        Returns:
            The mean of their scores, in [0, 1].
        """
        return float(np.clip(np.mean(self._network.run(shown)[:, 0]), 0, 1))

    def score_many(self, paths: Iterable[str | os.PathLike[str]]) -> Iterator[Score]:
        """Scores image files on all cores; a bad one gets its error, and the others their scores.

        Every image is a batch of its own views, so that its score never depends on its neighbours.

        Args:
            paths: Image files; read only a little ahead of the results.

        Yields:
            A score a file, in the order of the files.
        """
        return parallel_map(self._score, paths)

    def filter(
        self,
        items: Iterable[Item],
        threshold: float,
        image: Callable[[Item], Any] | None = None,
        on_error: Callable[[Item, ImageError], object] | None = None,
    ) -> Iterator[Item]:
        """Keeps the items whose image is good enough; they are scored on all cores, each alone.

        Args:
            items: Anything that has an image: paths, arrays, pairs of an image and a label, indices of a data set. They
                are read only a little ahead of the results, four a core.
            threshold: The lowest quality that is kept, in [0, 1].
            image: Finds the image of an item, as `score` takes it; called from several threads. Where None, the item
                is the image.
            on_error: Called with an item whose image cannot be used and with the reason, before the item is left out.
                Where None, a warning is logged.

        Returns:
            An iterator over the items that are kept, as they are, in their order. What `items` and `image` raise stops
            it, except an `ImageError` of `image`.

        Raises:
            ValueError: The threshold is not in [0, 1].
        """
        if not 0 <= threshold <= 1:
            raise ValueError(f"the threshold must be in [0, 1], as qualities are, got {threshold}")

        def judge(item: Item) -> tuple[Item, float | ImageError]:
            try:
                return item, self.score(item if image is None else image(item))  # type: ignore[arg-type]
            except ImageError as error:
                return item, error

        def kept() -> Iterator[Item]:
            for index, (item, found) in enumerate(parallel_map(judge, items)):
                if not isinstance(found, ImageError):
                    # A threshold that was written down may be a score that was rounded up.
                    if max(found, round_quality(found)) >= threshold:
                        yield item
                elif on_error is not None:
                    on_error(item, found)
                else:
                    path = f" ({item})" if isinstance(item, str | os.PathLike) else ""
                    _logger.warning("item %d%s is left out: %s", index, path, found)

        return kept()

    def explain(self, image: RgbImage | str | os.PathLike[str]) -> Explanation:
        """Maps where the quality of an image comes from.

        The image is cut into parts, six along its longer side. Each is scored as an image of its own, and the image is
        scored with each blurred away: 73 views of a small image, 115 of one of 500 x 375 pixels, 500 at most.

        Args:
            image: As in `score`.

        Raises:
            ImageError: The image cannot be used; the message says why.
        """
        return explain_image(_pixels(image), self.card.crop, lambda views: self._network.run(views)[:, 0])

    def _score(self, path: str | os.PathLike[str]) -> Score:
        try:
            return Score(os.fspath(path), self.score(path), None)
        except ImageError as error:
            return Score(os.fspath(path), None, str(error))


def _pixels(image: RgbImage | str | os.PathLike[str]) -> RgbImage:
    return read_image(image) if isinstance(image, str | os.PathLike) else check_image(image)
