"""`Metrifier.filter` yields the good items, in order and unchanged, also in a tf.data pipeline."""

import itertools
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from metrifier_core import ImageError, Metrifier
from metrifier_core.images import decode_image, encode_png
from metrifier_core.scoring.score import decide
from tests.helpers.tiny_models import write_brightness_metrifier

Pair = tuple[NDArray[np.uint8], int]

GREYS = [0, 255, 100, 101, 99, 200, 3]


@pytest.fixture(scope="module")
def metrifier(tmp_path_factory: pytest.TempPathFactory) -> Metrifier:
    return Metrifier(write_brightness_metrifier(tmp_path_factory.mktemp("run") / "model"))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Write a PNG for each grey, and a broken one after the second."""
    paths = []
    for index, level in enumerate(GREYS):
        paths.append(tmp_path / f"{index}.png")
        paths[-1].write_bytes(encode_png(grey(level)))
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    return [*paths[:2], broken, *paths[2:]]


def grey(level: int) -> NDArray[np.uint8]:
    return np.full((12, 10, 3), level, np.uint8)


def first(pair: Pair) -> NDArray[np.uint8]:
    return pair[0]


@given(levels=st.lists(st.integers(0, 255), max_size=30), threshold=st.floats(0, 1))
def test_what_is_kept_is_what_scores_high_enough(metrifier: Metrifier, levels: list[int], threshold: float) -> None:
    kept = list(metrifier.filter(enumerate(levels), threshold, image=lambda item: grey(item[1])))
    scored = ((item, metrifier(grey(item[1]))) for item in enumerate(levels))
    assert kept == [item for item, score in scored if max(score, round(score, 6)) >= threshold]


def test_the_threshold_itself_is_good_enough(metrifier: Metrifier) -> None:
    (kept,) = metrifier.filter([grey(level) for level in (99, 100)], metrifier(grey(100)))
    assert kept[0, 0, 0] == 100


def test_a_threshold_that_was_written_down_keeps_the_image_that_it_came_from(metrifier: Metrifier) -> None:
    """Thresholds are printed by `metrifier threshold` and applied by `metrifier score`."""
    images = [grey(level) for level in range(256)]
    for image in images:
        written = round(metrifier(image), 6)
        assert len(list(metrifier.filter([image], written))) == 1
        assert decide(metrifier(image), written) == "accept"


def test_items_come_as_they_are(metrifier: Metrifier) -> None:
    pairs = [(grey(level), label) for label, level in enumerate(GREYS)]
    kept = list(metrifier.filter(pairs, 0.5, image=first))
    assert [id(pair) for pair in kept] == [id(pairs[1]), id(pairs[5])]


def test_a_bad_image_is_left_out_and_logged(
    metrifier: Metrifier, files: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "metrifier_core"):
        kept = list(metrifier.filter(files, 0.5))
    assert [path.name for path in kept] == ["1.png", "5.png"]
    (record,) = caplog.records
    assert record.getMessage().startswith(f"item 2 ({files[2]}) is left out: not an image")


def test_a_bad_image_is_given_to_who_asked(
    metrifier: Metrifier, files: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    refused: list[tuple[bytes, ImageError]] = []
    encoded = [path.read_bytes() for path in files]
    kept = metrifier.filter(encoded, 0, decode_image, on_error=lambda item, error: refused.append((item, error)))
    assert list(kept) == [data for data in encoded if data != b"no image"]
    ((data, error),) = refused
    assert data == b"no image"
    assert "not an image" in str(error)
    assert caplog.records == []


def test_another_error_is_not_swallowed(metrifier: Metrifier) -> None:
    kept = metrifier.filter([{"image": grey(255)}, {}], 0.5, image=lambda sample: sample["image"])
    with pytest.raises(KeyError, match="image"):
        list(kept)


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan"), 80])
def test_a_threshold_that_is_no_quality_is_refused_at_once(metrifier: Metrifier, threshold: float) -> None:
    with pytest.raises(ValueError, match=r"the threshold must be in \[0, 1\]"):
        metrifier.filter([], threshold)


def test_items_are_read_only_a_little_ahead(metrifier: Metrifier) -> None:
    endless = itertools.count()
    kept = metrifier.filter(endless, 0.5, image=lambda _: grey(255))
    assert [next(kept) for _ in range(3)] == [0, 1, 2]
    kept.close()
    assert next(endless) < 2000, "four a core, on any machine"


def test_a_loaders_process_can_be_sent_a_metrifier(metrifier: Metrifier) -> None:
    sent = pickle.loads(pickle.dumps(metrifier))  # noqa: S301
    assert (sent.runtime, sent(grey(100))) == (metrifier.runtime, metrifier(grey(100)))


def test_tf_data_is_filtered_and_fed(metrifier: Metrifier) -> None:
    import tensorflow as tf

    images = np.stack([grey(level) for level in GREYS])
    source = tf.data.Dataset.from_tensor_slices((images, np.arange(len(GREYS))))
    kept = tf.data.Dataset.from_generator(
        lambda: metrifier.filter(source.as_numpy_iterator(), 0.3, image=first),
        output_signature=source.element_spec,
    )
    for _ in range(2):  # epochs
        labels = [batch.numpy().tolist() for _, batch in kept.batch(3).prefetch(1)]
        assert labels == [[1, 2, 3], [4, 5]]
    ((image, label),) = kept.take(1).as_numpy_iterator()
    assert label == 1
    np.testing.assert_array_equal(image, grey(255))
