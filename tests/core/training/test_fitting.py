"""Training: it learns, stops early, keeps its best epoch, and ends the same after being killed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrifier_core.architectures import registry
from metrifier_core.architectures.pretrained import Kernel
from metrifier_core.data.dataset import QualityDataset
from metrifier_core.execution.determinism import start_training
from metrifier_core.training import MetrifierSettings, fitting
from metrifier_core.training.batches import Batch, training_batches
from metrifier_core.training.fitting import FittedNetwork, fit_network
from metrifier_core.workers import ApplicationSpec
from tests.helpers.tiny_network import TINY, make_tiny_network
from tests.helpers.training_sets import open_training_set

SETTINGS = {"architecture": "tiny", "crop": 32, "batch_size": 12, "epochs": 4, "learning_rate": 0.01}


TAPPED = {"architecture": "tiny_tapped", "frozen_epochs": 2, "epochs": 2, "backbone_learning_rate": 0.01}
BACKBONE = ApplicationSpec(format="keras_applications", family="MobileNetV1", application="MobileNet", alpha=0.25)
TRUNK = [np.random.default_rng(5).normal(0, 0.2, (3, 3, 3, 4)).astype(np.float32), np.zeros(4, np.float32)]
KERNELS = [Kernel(*TRUNK)]


@pytest.fixture(scope="module", autouse=True)
def _tiny() -> Iterator[None]:
    """Register a tiny network, and write a checkpoint every four batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_BATCHES_A_CHECKPOINT", 4)
        patch.setitem(registry._REGISTRY, "tiny", TINY)
        patch.setitem(
            registry._REGISTRY,
            "tiny_tapped",
            registry.Architecture("tiny_tapped", lambda _: make_tiny_network(), BACKBONE),
        )
        patch.setattr(fitting, "read_kernels", lambda _: KERNELS)
        patch.setattr(fitting, "assign_kernels", lambda network, _: network.get_layer("trunk_1").set_weights(TRUNK))
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


@pytest.fixture(scope="module")
def whole_tapped(dataset: QualityDataset, tmp_path_factory: pytest.TempPathFactory) -> FittedNetwork:
    return train(dataset, tmp_path_factory.mktemp("tapped"), **TAPPED)


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


def test_a_frozen_backbone_keeps_its_weights_and_then_learns(dataset: QualityDataset, tmp_path: Path) -> None:
    frozen = train(dataset, tmp_path / "frozen", **{**TAPPED, "epochs": 0})
    np.testing.assert_array_equal(frozen.network.get_layer("trunk_1").get_weights()[0], TRUNK[0])
    assert frozen.curves[1]["loss"] < frozen.curves[0]["loss"], "the head learns"
    learned = train(dataset, tmp_path / "learned", **TAPPED)
    assert learned.best_epoch > TAPPED["frozen_epochs"]
    assert np.abs(learned.network.get_layer("trunk_1").get_weights()[0] - TRUNK[0]).max() > 0.01


def test_frozen_epochs_do_not_try_patience(dataset: QualityDataset, tmp_path: Path) -> None:
    nothing = {"learning_rate": 1e-9, "backbone_learning_rate": 1e-9, "patience": 1}
    fitted = train(dataset, tmp_path, **{**TAPPED, **nothing, "frozen_epochs": 4, "epochs": 9})
    assert fitted.best_epoch + 1 <= len(fitted.curves) < 13
    assert len(fitted.curves) >= 5, "all the frozen ones, and one to see whether the backbone helps"


class Killed(BaseException):
    """A stand-in for a kill: nothing after it runs."""


@pytest.mark.parametrize("tapped", [False, True])
def test_a_training_that_is_killed_again_and_again_ends_as_one_that_was_not(
    request: pytest.FixtureRequest,
    dataset: QualityDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tapped: bool,
) -> None:
    """Nine batches an epoch and a checkpoint every four: before one, between two, at an epoch's end, near the end.

    Of the four epochs of the tapped one, the first two are frozen.
    """
    whole: FittedNetwork = request.getfixturevalue("whole_tapped" if tapped else "whole")
    changes = TAPPED if tapped else {}
    checkpoint = tmp_path / "checkpoint.safetensors"
    left = 0

    def some(*given: Any, **settings: Any) -> Iterator[Batch]:
        nonlocal left
        for batch in training_batches(*given, **settings):
            if left == 0:
                raise Killed
            left -= 1
            yield batch

    # Batch of the whole training at which it is killed, and of the checkpoint from which it then resumes.
    kills = {1: 0, 7: 4, 9: 9, 19: 18, 35: 35}
    resumed_at = 0
    for killed_at, next_start in kills.items():
        left = killed_at - resumed_at
        with monkeypatch.context() as patch:
            patch.setattr(fitting, "training_batches", some)
            with pytest.raises(BaseException, match="Killed"):
                train(dataset, tmp_path, **changes)
        assert checkpoint.is_file() == (next_start > 0)
        resumed_at = next_start
    resumed = train(dataset, tmp_path, **changes)
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
        return scored._replace(views=scored.views * np.nan)

    monkeypatch.setattr(fitting, "score_split", diverged)
    with pytest.raises(ValueError, match=r"^training diverged.*metrifier\.learning_rate"):
        train(dataset, tmp_path, epochs=1)


def test_training_that_diverges_ends_with_that_epoch(
    dataset: QualityDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = fitting.training_batches

    def without_a_number(*given: Any, **settings: Any) -> Any:
        return (batch._replace(truth=batch.truth * np.nan) for batch in draw(*given, **settings))

    monkeypatch.setattr(fitting, "training_batches", without_a_number)
    with pytest.raises(ValueError, match=r"^training diverged: the loss of epoch 1 is nan; lower metrifier\."):
        train(dataset, tmp_path)


def test_several_devices_share_a_batch(tmp_path: Path) -> None:
    """In its own process, as TensorFlow fixes its devices when it starts."""
    script = Path(__file__).parents[2] / "helpers" / "two_devices.py"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "killed after 2 checkpoints" in done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    first, second = found["curves"]
    assert (first["epoch"], second["epoch"]) == (1, 2)
    assert second["loss"] < first["loss"]
    assert second["validation_spearman"] > 0.8
    (reduced,) = found["reduced"]
    assert 0 < reduced["loss"] < 1.1 * first["loss"]


def test_sixteen_bits_learn_as_well_and_end_in_thirty_two(dataset: QualityDataset, tmp_path: Path) -> None:
    fitted = train(dataset, tmp_path, mixed_precision=True)
    assert fitted.validation_spearman > 0.8
    assert {layer.compute_dtype for layer in fitted.network.layers} == {"float32"}
    assert {variable.dtype for variable in fitted.network.weights} == {"float32"}
