"""Training: it learns, it stops, it keeps its best epoch, and one that was killed ends as one that was not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrifier_core.architectures import registry
from metrifier_core.dataset import QualityDataset
from metrifier_core.determinism import start_training
from metrifier_core.training import MetrifierSettings, fitting
from metrifier_core.training.batches import Batch, training_batches
from metrifier_core.training.fitting import FittedNetwork, fit_network
from tests.core.training_sets import open_training_set

SETTINGS = {"architecture": "tiny", "crop": 32, "batch_size": 12, "epochs": 4, "learning_rate": 0.01}


def tiny() -> Any:
    """A network that is built in no time."""
    import keras

    from metrifier_core.architectures.head import build_scorer
    from metrifier_core.architectures.layers import PooledStatistics

    inputs = keras.Input((None, None, 3), dtype="uint8")
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs))
    return build_scorer("tiny", inputs, [PooledStatistics()(x)], units=[8], dropout=0.3)


@pytest.fixture(scope="module", autouse=True)
def _tiny() -> Iterator[None]:
    """A network that is built in no time, and a checkpoint every four batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_BATCHES_A_CHECKPOINT", 4)
        patch.setitem(registry._REGISTRY, "tiny", registry.Architecture("tiny", tiny))
        yield


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> QualityDataset:
    return open_training_set(tmp_path_factory.mktemp("set"))


def train(dataset: QualityDataset, folder: Path, **changes: Any) -> FittedNetwork:
    start_training(0)
    folder.mkdir(exist_ok=True)
    return fit_network(dataset, MetrifierSettings.model_validate({**SETTINGS, **changes}), 0, folder)


@pytest.fixture(scope="module")
def whole(dataset: QualityDataset, tmp_path_factory: pytest.TempPathFactory) -> FittedNetwork:
    folder = tmp_path_factory.mktemp("whole")
    return train(dataset, folder)


def test_it_learns_what_can_be_seen(whole: FittedNetwork) -> None:
    assert whole.curves[-1]["loss"] < whole.curves[0]["loss"] - 0.1
    assert whole.validation_spearman > 0.8
    assert [point["epoch"] for point in whole.curves] == [1, 2, 3, 4]


def test_the_best_epoch_is_kept(dataset: QualityDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[Any]] = []
    score = fitting.score_split

    def note(network: Any, *given: Any, **settings: Any) -> Any:
        seen.append(network.get_weights())
        return score(network, *given, **settings)

    monkeypatch.setattr(fitting, "score_split", note)
    fitted = train(dataset, tmp_path)
    correlations = [point["validation_spearman"] for point in fitted.curves]
    assert fitted.best_epoch == 1 + int(np.argmax(correlations))
    assert fitted.validation_spearman == max(correlations)
    for kept, weights in zip(fitted.network.get_weights(), seen[fitted.best_epoch - 1], strict=True):
        np.testing.assert_array_equal(kept, weights)


def test_patience_ends_it(dataset: QualityDataset, tmp_path: Path) -> None:
    fitted = train(dataset, tmp_path, learning_rate=1e-9, epochs=9, patience=1)
    assert len(fitted.curves) == fitted.best_epoch + 1 < 9


class Killed(BaseException):
    """Stands in for a kill: nothing that comes after it runs."""


@pytest.mark.parametrize("steps", [1, 7, 9, 35])
def test_a_killed_training_ends_as_one_that_was_not(
    whole: FittedNetwork, dataset: QualityDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """Nine batches an epoch and a checkpoint every four: before one, between two, at an epoch's end, near the end."""
    left = steps

    def some(*given: Any, **settings: Any) -> Iterator[Batch]:
        nonlocal left
        for batch in training_batches(*given, **settings):
            if left == 0:
                raise Killed
            left -= 1
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "training_batches", some)
        with pytest.raises(BaseException, match="Killed"):
            train(dataset, tmp_path)
    assert (tmp_path / "checkpoint.safetensors").is_file() == (steps >= 4)
    resumed = train(dataset, tmp_path)
    assert resumed.curves == whole.curves
    for own, other in zip(resumed.network.get_weights(), whole.network.get_weights(), strict=True):
        np.testing.assert_array_equal(own, other)


def test_one_that_was_killed_after_its_last_epoch_has_nothing_left_to_do(
    whole: FittedNetwork, dataset: QualityDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(dataset, tmp_path)
    monkeypatch.setattr(fitting, "_run", None)
    again = train(dataset, tmp_path)
    assert again.curves == whole.curves
    for own, other in zip(again.network.get_weights(), whole.network.get_weights(), strict=True):
        np.testing.assert_array_equal(own, other)


def test_training_that_comes_to_nothing_is_refused(
    dataset: QualityDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = fitting.score_split

    def diverged(*given: Any, **settings: Any) -> Any:
        scored = score(*given, **settings)
        return scored._replace(scores=scored.scores * np.nan)

    monkeypatch.setattr(fitting, "score_split", diverged)
    with pytest.raises(ValueError, match=r"^training diverged.*metrifier\.learning_rate"):
        train(dataset, tmp_path, epochs=1)
