"""Which versions a report shows, and their thumbnails."""

from io import BytesIO

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from metrifier_core.images import decode_image
from metrifier_core.report import GROUPS, choose_examples, thumbnail
from tests.helpers.report_data import make_predictions


@given(st.integers(0, 99))
def test_each_group_holds_what_it_says(seed: int) -> None:
    predictions = make_predictions(seed)
    predicted, quality, image_id = (predictions[name].to_numpy() for name in ("predicted", "quality", "image_id"))
    gap = predicted - quality
    found = choose_examples(predictions)
    assert tuple(found) == GROUPS
    for group, score in {"best": predicted, "worst": -predicted, "overrated": gap, "underrated": -gap}.items():
        chosen = found[group]
        assert len(set(image_id[chosen])) == len(chosen) == 4, "one version a source image"
        assert score[chosen[0]] == score.max()
        assert (np.diff(score[chosen]) <= 0).all()
        for place in chosen:
            assert score[place] == score[image_id == image_id[place]].max()
    assert len(found["spread"]) == 24
    assert (np.diff(predicted[found["spread"]]) >= 0).all()
    assert predicted[found["spread"]][[0, -1]].tolist() == [predicted.min(), predicted.max()]


def test_the_order_of_rows_does_not_matter_also_among_ties() -> None:
    predictions = make_predictions()
    predictions = predictions.set_column(
        predictions.schema.get_field_index("predicted"), "predicted", pa.array(np.full(len(predictions), 0.5))
    )
    order = np.random.default_rng(1).permutation(len(predictions))
    turned = predictions.take(order)
    for group, places in choose_examples(predictions).items():
        assert turned.take(choose_examples(turned)[group]) == predictions.take(places), group


def test_what_is_predicted_well_is_not_called_wrong() -> None:
    predictions = make_predictions()
    at = predictions.schema.get_field_index("predicted")
    found = choose_examples(predictions.set_column(at, "predicted", predictions["quality"]))
    assert len(found["overrated"]) == len(found["underrated"]) == 0


@pytest.mark.parametrize(("shape", "expected"), [((600, 300), (96, 192)), ((192, 192), (192, 192)), ((8, 9), (9, 8))])
def test_a_thumbnail_is_small_and_what_is_small_keeps_its_pixels(
    shape: tuple[int, int], expected: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    png = thumbnail(image)
    assert Image.open(BytesIO(png)).size == expected
    if max(shape) <= 192:
        assert (decode_image(png) == image).all()


def test_a_thumbnail_of_a_sliver_has_at_least_a_pixel() -> None:
    assert Image.open(BytesIO(thumbnail(np.zeros((8, 5000, 3), np.uint8)))).size == (192, 1)
