"""Training batches: every version once per epoch, in an order that depends only on the generator."""

from pathlib import Path

import numpy as np
import pytest

from metrifier_core.data.dataset import QualityDataset
from metrifier_core.training.batches import Batch, training_batches
from tests.helpers.training_sets import VERSIONS, WORKERS, open_training_set

TRAINING = 18 * VERSIONS


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> QualityDataset:
    return open_training_set(tmp_path_factory.mktemp("set"))


def make(dataset: QualityDataset, seed: int = 0, *, size: int = 20, skip: int = 0, flip: bool = True) -> list[Batch]:
    rng = np.random.default_rng(seed)
    return list(training_batches(dataset, size=size, crop=32, flip=flip, rng=rng, skip=skip))


def as_bytes(batches: list[Batch]) -> list[bytes]:
    return [batch.pixels.tobytes() + batch.truth.tobytes() for batch in batches]


def test_batches_are_whole(dataset: QualityDataset) -> None:
    batches = make(dataset)
    assert len(batches) == TRAINING // 20
    for batch in batches:
        assert (batch.pixels.shape, batch.pixels.dtype) == ((20, 32, 32, 3), np.uint8)
        assert (batch.truth.shape, batch.truth.dtype) == ((20, 2 + WORKERS), np.float32)


def test_an_epoch_has_every_training_version_once(dataset: QualityDataset) -> None:
    shown = np.concatenate([batch.truth[:, 0] for batch in make(dataset, size=12)])
    expected = [row["quality"] for row in dataset.iterate("train")]
    np.testing.assert_array_equal(np.sort(shown), np.sort(np.array(expected, np.float32)))


def test_quality_is_the_mean_of_the_workers_beside_it(dataset: QualityDataset) -> None:
    for batch in make(dataset):
        np.testing.assert_allclose(batch.truth[:, 2:].mean(axis=1), batch.truth[:, 0], atol=1e-6)


def test_a_batch_has_pairs_of_one_source(dataset: QualityDataset) -> None:
    """A source's six versions come as four and two: each has a neighbour of the same source."""
    source = make(dataset, size=12)[0].truth[:, 1]
    assert len(np.unique(source)) < 12
    assert (np.bincount(source.astype(int)) <= VERSIONS).all()


def test_order_and_views_follow_from_the_generator(dataset: QualityDataset) -> None:
    assert as_bytes(make(dataset)) == as_bytes(make(dataset))
    assert as_bytes(make(dataset)) != as_bytes(make(dataset, seed=1))


@pytest.mark.parametrize("skip", [1, 3, 5])
def test_what_is_skipped_changes_nothing_of_what_follows(dataset: QualityDataset, skip: int) -> None:
    assert as_bytes(make(dataset, skip=skip)) == as_bytes(make(dataset))[skip:]


def test_half_of_the_views_are_mirrored_where_that_is_wanted(dataset: QualityDataset) -> None:
    plain = np.concatenate([batch.pixels for batch in make(dataset, flip=False)])
    found = np.concatenate([batch.pixels for batch in make(dataset, flip=True)])
    mirrored = (found == plain[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (mirrored | (found == plain).all(axis=(1, 2, 3))).all()
    assert 0.35 < mirrored.mean() < 0.75  # those without noise are their own mirror image


def test_with_little_memory_an_epoch_is_shuffled_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_training_set(tmp_path, sources=96)
    read: list[int] = []
    rows = dataset.rows
    monkeypatch.setattr(dataset, "rows", lambda group, split: read.append(group) or rows(group, split))
    sizes = [dataset.size(group) for group in range(len(dataset))]
    monkeypatch.setattr("metrifier_core.training.batches._BYTES_SHUFFLED_TOGETHER", max(sizes))
    in_parts = make(dataset, size=12)
    assert sorted(read) == list(range(len(dataset))) == [0, 1, 2]
    monkeypatch.undo()
    whole = make(dataset, size=12)
    assert len(in_parts) == len(whole)
    shown, expected = (np.sort(np.concatenate([batch.truth[:, 0] for batch in each])) for each in (in_parts, whole))
    np.testing.assert_array_equal(shown, expected)
    assert as_bytes(in_parts) != as_bytes(whole)
