"""Grey values of DICOM in 8 bits: held against pydicom's windows and values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing

from metrifier_core.ingest.greyscale import DecodingError, GreyScale

VALUES = np.arange(4096, dtype=np.uint32)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@given(st.integers(-500, 5000), st.integers(2, 6000), st.booleans())
def test_windows_are_those_of_pydicom(function: str, centre: int, width: int, inverted: bool) -> None:
    attributes = Dataset()
    attributes.WindowCenter, attributes.WindowWidth, attributes.VOILUTFunction = centre, width, function
    attributes.PhotometricInterpretation = "MONOCHROME2"
    attributes.BitsStored, attributes.PixelRepresentation = 12, 0
    with np.errstate(over="ignore"):
        expected = np.rint(apply_windowing(VALUES, attributes) * (255 / 4095))
    grey = GreyScale(12, inverted=inverted, window=(centre, width), function=function)
    # tensorflow-io turns MONOCHROME1 around; its highest bits are then the lowest values.
    output = np.rint(4095 - VALUES * (4095 / 4096)).astype(np.uint32) if inverted else VALUES
    actual = grey.to_8_bits(output).astype(float)
    tolerance = 1 + (255 / width if inverted else 0)  # a value is rounded on the way
    np.testing.assert_allclose(255 - actual if inverted else actual, expected, atol=tolerance)
    if not inverted:
        assert np.abs(actual - expected).mean() < 0.01  # but for halves


@pytest.mark.parametrize(
    ("value", "grey"), [(0, 0), (900, 0), (950, 0), (951, 3), (1000, 129), (1048, 252), (1049, 255), (1200, 255)]
)
def test_a_window_by_hand(value: int, grey: int) -> None:
    # ((value - 999.5) / 99 + 0.5) x 255: at 951 2.58, at 1000 128.79, at 1048 252.42
    assert GreyScale(12, window=(1000, 100)).to_8_bits(np.array([value])).tolist() == [grey]


def test_a_window_of_width_1_is_a_threshold() -> None:
    actual = GreyScale(12, window=(7, 1)).to_8_bits(np.array([6, 7, 8]))
    np.testing.assert_array_equal(actual, [0, 255, 255])


def test_8_bits_stay_as_they_are() -> None:
    values = np.arange(3, 200)
    np.testing.assert_array_equal(GreyScale(8).to_8_bits(values), values)


def test_without_a_window_the_smallest_is_black_and_the_largest_white() -> None:
    values = np.array([[100, 300], [200, 500]])
    np.testing.assert_array_equal(GreyScale(12).to_8_bits(values), [[0, 128], [64, 255]])
    np.testing.assert_array_equal(GreyScale(1).to_8_bits(np.array([0, 1, 1])), [0, 255, 255])
    np.testing.assert_array_equal(GreyScale(12).to_8_bits(np.full(3, 77)), [0, 0, 0])


def test_rescaled_values_are_found_again() -> None:
    # CT: 16 bits with a sign, intercept -1024, are spread over 17 bits: 2 x (value + 33792). The window is -160 to 240.
    hounsfield = np.array([-1000, -160, 40, 239, 240, 3000])
    scale = GreyScale(16, signed=True, intercept=-1024, window=(40, 400))
    np.testing.assert_array_equal(scale.to_8_bits(2 * (hounsfield + 33792)), [0, 0, 128, 255, 255, 255])


def test_many_values_are_shown_as_few_are() -> None:
    few = np.array([0, 1000, 2000, 4095])
    many = np.append(few, 1 << 24)
    scale = GreyScale(16, slope=300, window=(300_000, 400_000))
    np.testing.assert_array_equal(scale.to_8_bits(many)[:-1], scale.to_8_bits(few))


@given(st.floats(allow_nan=True), st.floats(), st.integers(-5, 40), st.floats(), st.floats())
def test_any_attributes_give_grey_or_a_reason(
    slope: float, intercept: float, bits: int, centre: float, width: float
) -> None:
    scale = GreyScale(bits, slope=slope, intercept=intercept, window=(centre, width))
    with np.errstate(all="ignore"):
        try:
            grey = scale.to_8_bits(np.array([0, 1, 255, 4095]))
        except DecodingError:
            return
    assert grey.dtype == np.uint8


@pytest.mark.parametrize(
    ("scale", "reason"),
    [
        (GreyScale(12, slope=0), "invalid attributes"),
        (GreyScale(12, intercept=float("nan")), "invalid attributes"),
        (GreyScale(12, slope=float("inf")), "invalid attributes"),
        (GreyScale(6, slope=1e306, window=(0, 1)), "invalid attributes"),
        (GreyScale(32), "invalid attributes"),
        (GreyScale(12, window=(40, 0)), "window of width 0"),
        (GreyScale(12, window=(40, 300), function="CUBIC"), "unknown window function, 'CUBIC'"),
        (GreyScale(12, slope=0.1, window=(40, 300)), "too fine"),
        (GreyScale(12, slope=0.1), "too fine"),
    ],
)
def test_reasons(scale: GreyScale, reason: str) -> None:
    with pytest.raises(DecodingError, match=reason):
        scale.to_8_bits(VALUES[:500])
