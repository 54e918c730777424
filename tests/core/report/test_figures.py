"""The report's figures: real pictures of their data, in both colour schemes."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from PIL import Image

from metrifier_core.report import (
    DARK,
    LIGHT,
    Theme,
    correlation_bars,
    correlation_heat_map,
    error_against_discard,
    examples_sheet,
    predicted_against_true,
    quality_by_severity,
    reliability_diagram,
    training_curves,
)
from metrifier_core.statistics import Metrics, ReliabilityBin
from tests.helpers.report_data import (
    make_condition,
    make_curve,
    make_curves,
    make_example,
    make_metrics,
    make_predictions,
    make_reliability,
    make_target,
    make_training,
    without_baselines,
)


def pixels(png: bytes) -> NDArray[np.int64]:
    """Return the picture's pixels, int64 (height, width, 3)."""
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"), dtype=np.int64)


def errors_of_mean(metrics: Metrics, theme: Theme = LIGHT) -> bytes:
    return error_against_discard(metrics, "mean", theme)


@pytest.mark.parametrize(
    ("draw", "data", "other"),
    [
        (predicted_against_true, make_predictions(0), make_predictions(1)),
        (quality_by_severity, make_predictions(0), make_predictions(1)),
        (
            correlation_bars,
            make_metrics(),
            make_metrics(workers={"mean": make_target(0.2, 0.61, 0.41)}),
        ),
        (
            correlation_heat_map,
            make_metrics(),
            make_metrics(conditions=(make_condition("jpeg", 1, 0.1),)),
        ),
        (
            errors_of_mean,
            make_metrics(),
            make_metrics(discard={"mean": dict.fromkeys(("metrifier", "ceiling"), make_curve(0.2))}),
        ),
        (reliability_diagram, make_reliability(), make_reliability()[:9]),
        (training_curves, make_training(3).model_dump(), make_training(4).model_dump()),
        (examples_sheet, [make_example(8)], [make_example(9)]),
    ],
)
def test_a_figure_is_a_picture_of_its_data(draw: Callable[..., bytes], data: Any, other: Any) -> None:
    assert Image.open(BytesIO(draw(data))).format == "PNG"
    assert draw(data) == draw(data, theme=LIGHT)
    assert draw(data) != draw(other)
    light, dark = pixels(draw(data)), pixels(draw(data, theme=DARK))
    assert light.shape == dark.shape
    assert len(np.unique(light.reshape(-1, 3), axis=0)) > 20
    assert "#{:02x}{:02x}{:02x}".format(*light[0, 0]) == LIGHT.paper
    assert "#{:02x}{:02x}{:02x}".format(*dark[0, 0]) == DARK.paper


def test_figures_do_not_depend_on_the_order_of_rows_and_names() -> None:
    predictions, metrics = make_predictions(), make_metrics()
    turned = predictions.take(np.arange(predictions.num_rows)[::-1])
    assert quality_by_severity(turned) == quality_by_severity(predictions)
    reordered = make_metrics(baselines=dict(reversed(metrics.baselines.items())), conditions=metrics.conditions[::-1])
    assert correlation_bars(reordered) == correlation_bars(metrics)
    assert correlation_heat_map(reordered) == correlation_heat_map(metrics)


def test_the_heat_map_shows_the_ceiling_the_unseen_and_what_is_undefined() -> None:
    metrics = make_metrics()
    whole = correlation_heat_map(metrics)
    first, *rest = metrics.conditions
    lower = make_metrics(conditions=(first.model_copy(update={"ceiling": 0.2}), *rest))
    assert correlation_heat_map(lower) != whole
    seen = pixels(correlation_heat_map(make_metrics(unseen_distortions=None)))
    assert len(seen) < len(pixels(whole))
    undefined = make_metrics(conditions=(first.model_copy(update={"value": None, "ceiling": None}), *rest))
    assert correlation_heat_map(undefined) != whole


def test_the_diagonal_is_for_what_is_on_one_scale() -> None:
    predictions = make_predictions()
    one, other = (pixels(predicted_against_true(predictions, comparable=scale)) for scale in (True, False))
    changed = np.flatnonzero((one != other).any(axis=(0, 2)))
    assert changed.min() > one.shape[1] / 2 - 60, "quality is predicted on its own scale, whatever that is"


@pytest.mark.parametrize(("column", "panel"), [("quality", "left"), ("held_out", "right")])
def test_predictions_stand_against_the_true_quality_and_beside_that_the_held_out_workers(
    column: str, panel: str
) -> None:
    predictions = make_predictions()
    place = predictions.column_names.index(column)
    values = predictions[column].to_numpy()
    # The same values in other places: the numbers of versions, and so the colours, stay nearly what they are.
    other = predictions.set_column(place, column, pa.array(np.clip(1 - values, 0, 1)))
    changed = (pixels(predicted_against_true(predictions)) != pixels(predicted_against_true(other))).any(axis=2)
    left, right = (half.mean() for half in np.array_split(changed, 2, axis=1))
    assert (left > 5 * right) if panel == "left" else (right > 5 * left)


def test_figures_bear_little_data() -> None:
    one = make_predictions().slice(1, 1)
    curves = dict.fromkeys(make_curves(), make_curve(None))
    undefined = without_baselines(workers={"mean": make_target(None, None, None, auroc=None)}, discard={"mean": curves})
    alone = ReliabilityBin(low=0, high=1, count=1, mean_predicted=0.5, mean_quality=0.2)
    pristine, worst = make_condition("pristine", 0, None), make_condition("jpeg", 5, -1.0)
    for picture in (
        predicted_against_true(one),
        quality_by_severity(one),
        correlation_bars(undefined),
        correlation_heat_map(make_metrics(conditions=(pristine,), unseen_distortions=None)),
        correlation_heat_map(make_metrics(conditions=(worst,), unseen_distortions=None)),
        errors_of_mean(undefined),
        reliability_diagram([alone]),
        training_curves([{**make_training(1).model_dump()[0], "validation_spearman": float("nan")}]),
    ):
        Image.open(BytesIO(picture)).verify()


def test_the_sheet_enlarges_small_images_pixel_by_pixel() -> None:
    sheet = pixels(examples_sheet([make_example(8)] * 3, columns=2))
    assert sheet.shape[1] == 2 * 230
    red, green, blue = (sheet[..., channel] for channel in range(3))
    coloured = (blue == 0) & (red + green > 0)
    assert ((red + green)[coloured] == 255).all()
    assert 0.4 < (red[coloured] == 255).mean() < 0.6
    assert coloured.sum() > 3 * 150**2


def test_names_are_not_read_as_formulas() -> None:
    name = "$x_{$"
    predictions = make_predictions()
    distortion = pa.array([name] * predictions.num_rows)
    curves = {"metrifier": make_curve(), "ceiling": make_curve(), name: make_curve()}
    named = without_baselines(
        workers={name: make_target(0.7, 0.6, 0.5)},
        discard={name: curves},
        conditions=(make_condition(name, 1, 0.5),),
        unseen_distortions=None,
    )
    for picture in (
        quality_by_severity(predictions.set_column(2, "distortion", distortion)),
        correlation_bars(named),
        correlation_heat_map(named),
        error_against_discard(named, name),
        examples_sheet([make_example(8, distortion=name)]),
    ):
        Image.open(BytesIO(picture)).verify()
