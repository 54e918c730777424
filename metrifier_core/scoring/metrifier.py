"""`Metrifier`: an image in, its machine-perceived quality out."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self, TypeAlias, TypeVar

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
FilePath: TypeAlias = str | os.PathLike[str]

_SCHEMES = ("models:/", "runs:/")

_logger = logging.getLogger(__name__)


class Metrifier:
    """Predictor of how well image classifiers will do on an image, from 0 (not at all) to 1 (as well as ever).

    Attributes:
        card: What is known about the model.
        runtime: Name of the runtime that scores.

    Example:
        >>> metrifier = Metrifier.load("runs/digits/model")  # doctest: +SKIP
        >>> metrifier("photo.jpg")  # doctest: +SKIP
        0.83
    """

    def __init__(self, folder: Path, runtime: str | None = None) -> None:
        """Load a trained metrifier; `load` also takes single files and MLflow URIs.

        Args:
            folder: The `model` folder of a run.
            runtime: See `load`.

        Raises:
            ValueError: The folder does not hold a metrifier, or the runtime is not available.
        """
        card_file = folder / MODEL_CARD
        if not card_file.is_file():
            raise ValueError(f"{folder} does not hold a metrifier: there is no {MODEL_CARD} (expected RUN/model)")
        self.card = MetrifierCard.model_validate_json(card_file.read_text())
        self.runtime = runtime or choose_runtime(folder, self.card.sha256)
        self._network = load_runtime(self.runtime, folder, self.card.sha256)
        self._folder = folder

    def __repr__(self) -> str:
        return f"Metrifier({str(self._folder)!r}, runtime={self.runtime!r}, fingerprint={self.card.fingerprint[:12]!r})"

    def __reduce__(self) -> tuple[type[Self], tuple[Path, str]]:
        """Pickle the name alone: another process, such as a data loader's, loads the files itself."""
        return type(self), (self._folder, self.runtime)

    @classmethod
    def load(cls, model: FilePath, runtime: str | None = None) -> Self:
        """Load a metrifier, after checking its files against the checksums of its card.

        Args:
            model: The `model` folder of a run, a single file of it with the card beside it, or an MLflow model URI such
                as `models:/metrifier@champion`.
            runtime: "tflite", "onnx" and "keras" run the same float32 network; "tflite_int8" is smaller and faster, and
                its scores differ. None for the runtime of a single file, or else the fastest float32 one installed.

        Raises:
            ValueError: There is no such model or runtime, a file does not match its checksum, or the runtime's package
                is not installed.
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

    def score(self, image: RgbImage | FilePath) -> float:
        """Score one image.

        Args:
            image: (H, W, 3) uint8 RGB, at least 8 pixels a side, or the path of an image file.

        Returns:
            Predicted quality in [0, 1]; higher is better.

        Raises:
            ImageError: The image cannot be used; the message says why.
        """
        return self.score_views(make_views(_pixels(image), self.card.crop))

    __call__ = score

    def score_views(self, views: NDArray[np.uint8]) -> float:
        """Return the mean score, in [0, 1], of an image's views: (V, crop, crop, 3) uint8 RGB, from `make_views`."""
        return float(np.clip(np.mean(self._network.run(views)[:, 0]), 0, 1))

    def score_many(self, paths: Iterable[FilePath]) -> Iterator[Score]:
        """Score image files on all cores; a file that cannot be used gets an error instead of a score.

        Every image is a batch of its own views, so that its score never depends on its neighbours.

        Args:
            paths: Image files; read only a little ahead of the results.

        Yields:
            A score for each file, in their order.
        """
        return parallel_map(self._score_file, paths)

    def filter(
        self,
        items: Iterable[Item],
        threshold: float,
        image: Callable[[Item], Any] | None = None,
        on_error: Callable[[Item, ImageError], object] | None = None,
    ) -> Iterator[Item]:
        """Keep the items whose image is good enough; images are scored on all cores, each by itself.

        Args:
            items: Anything that has an image: paths, arrays, (image, label) pairs, indices of a data set. They are read
                only a little ahead of the results, four per core.
            threshold: Lowest quality to keep, in [0, 1].
            image: Returns the image of an item, as `score` takes it; called from several threads. None if the items are
                the images.
            on_error: Called with an item whose image cannot be used and the reason, before the item is dropped. None to
                log a warning.

        Returns:
            An iterator over the unchanged items that are kept, in their order. It raises what `items` and `image`
            raise, except an `ImageError` of `image`.

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
            for index, (item, quality) in enumerate(parallel_map(judge, items)):
                if not isinstance(quality, ImageError):
                    # A threshold from a table may be a score that was rounded up.
                    if max(quality, round_quality(quality)) >= threshold:
                        yield item
                elif on_error is not None:
                    on_error(item, quality)
                else:
                    path = f" ({item})" if isinstance(item, str | os.PathLike) else ""
                    _logger.warning("item %d%s is left out: %s", index, path, quality)

        return kept()

    def explain(self, image: RgbImage | FilePath) -> Explanation:
        """Map where the quality of an image comes from.

        The image is cut into cells, six along its longer side. Each cell is scored as an image of its own, and the
        image is scored without each cell: 73 views of a small image, 115 of 500 x 375 pixels, never more than 500.

        Args:
            image: As in `score`.

        Raises:
            ImageError: The image cannot be used; the message says why.
        """
        return explain_image(_pixels(image), self.card.crop, lambda views: self._network.run(views)[:, 0])

    def _score_file(self, path: FilePath) -> Score:
        try:
            return Score(os.fspath(path), self.score(path), None)
        except ImageError as error:
            return Score(os.fspath(path), None, str(error))


def _pixels(image: RgbImage | FilePath) -> RgbImage:
    return read_image(image) if isinstance(image, str | os.PathLike) else check_image(image)
