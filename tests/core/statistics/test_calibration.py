"""Expected calibration error and the reliability table behind it."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from metrifier_core.statistics import Draw, Estimate, ReliabilityBin, ScoredRows, bootstrap, reliability_bins
from metrifier_core.statistics.standard_metrics import calibration_error


class Calibration(NamedTuple):
    error: Estimate
    bins: tuple[ReliabilityBin, ...]


def calibrate(predicted: Any, quality: Any, image: Any = None, replicates: int = 20) -> Calibration:
    predicted, quality = np.array(predicted, np.float64), np.array(quality, np.float64)
    image = np.arange(len(predicted)) if image is None else np.array(image)
    rows = ScoredRows({"own": predicted}, {}, {}, quality, image, image)

    def error(copies: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        return {"error": calibration_error(Draw(rows, copies))}

    ((value, low, high),) = bootstrap(error, rows.images, replicates=replicates, seed=0)["error"]
    return Calibration(Estimate(value=value, low=low, high=high), reliability_bins(Draw(rows, np.ones(rows.images))))


def test_three_bins_by_hand() -> None:
    # Bins are 1/15 wide: .01 and .05 share the first, .5 is in the eighth, 1 in the last.
    found = calibrate([0.01, 0.05, 0.5, 1.0], [0.13, 0.33, 0.4, 1.0])
    assert found.error.value == pytest.approx((2 * 0.2 + 0.1 + 0) / 4)
    filled = {index: own for index, own in enumerate(found.bins) if own.count}
    assert list(filled) == [0, 7, 14]
    assert (filled[0].count, filled[0].mean_predicted, filled[0].mean_quality) == pytest.approx((2, 0.03, 0.23))
    assert (filled[7].low, filled[7].high) == pytest.approx((7 / 15, 8 / 15))
    assert found.bins[3].mean_predicted is None
    assert found.bins[3].mean_quality is None
    assert len(found.bins) == 15
    assert sum(own.count for own in found.bins) == 4


def test_errors_of_one_bin_cancel_and_errors_of_two_do_not() -> None:
    assert calibrate([0.51, 0.52], [0.41, 0.62]).error.value == pytest.approx(0)
    assert calibrate([0.11, 0.92], [0.21, 0.82]).error.value == pytest.approx(0.1)


def test_perfect_and_worst_predictions() -> None:
    quality = np.linspace(0, 1, 50)
    assert calibrate(quality, quality).error == calibrate(quality[::-1], quality[::-1]).error
    assert calibrate(quality, quality).error.value == 0
    assert calibrate(np.ones(5), np.zeros(5)).error.value == 1


def test_the_interval_draws_source_images() -> None:
    # Every image's own error is the same: whatever is drawn, so is the mean.
    rng = np.random.default_rng(1)
    quality = np.repeat(rng.random(9) * 0.8, 4)
    found = calibrate(quality + 0.1, quality, np.repeat(np.arange(9), 4), replicates=50).error
    assert (found.low, found.value, found.high) == pytest.approx((0.1, 0.1, 0.1))
    # Two images, one right and one off by .4: draws have 0, .2 or .4.
    found = calibrate([0.1, 0.1, 0.9, 0.9], [0.1, 0.1, 0.5, 0.5], [0, 0, 1, 1], replicates=200).error
    assert (found.low, found.value, found.high) == pytest.approx((0, 0.2, 0.4))


@pytest.mark.parametrize(
    ("predicted", "quality", "message"),
    [
        ([0.1, 1.2], [0.1, 0.2], r"expected predicted quality in \[0, 1\], got 0.1 to 1.2"),
        ([0.1, 0.2], [0.1, np.nan], r"expected quality in \[0, 1\]"),
        ([0.1, 0.2], [0.1], r"quality: expected .* \(2,\), got \(1,\)"),
        ([], [], "expected at least one version"),
    ],
)
def test_bad_input_is_refused_with_a_reason(predicted: Any, quality: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibrate(predicted, quality)
