"""tensorflow-io in its own environment: the right pixels of every format, or a reason."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_windowing

from metrifier_core.images import ImageError, decode_image
from metrifier_core.ingest.client import IngestDecoder, find_ingest_decoder, ingest_command
from metrifier_core.ingest.routes import normalise_source
from tests.helpers.bad_images import picture
from tests.helpers.dicom_files import write_dicom
from tests.helpers.tiff_files import every_16_bit_value, rounded, write_tiff

pytestmark = [
    pytest.mark.ingest,
    pytest.mark.skipif(find_ingest_decoder() is None, reason="needs tensorflow-io's environment: make ingest-env"),
]

PIXELS = picture(20, 28)
RAMP = np.arange(64 * 64).reshape(64, 64)


@pytest.fixture(scope="module")
def ingest() -> Iterator[IngestDecoder]:
    decoder = find_ingest_decoder()
    assert decoder is not None
    with decoder:
        yield decoder


def read(data: bytes, ingest: IngestDecoder) -> NDArray[np.uint8]:
    """Return what `download` stores of a file, by tensorflow-io."""
    stored, decoder = normalise_source(data, ingest)
    assert decoder == "tensorflow-io"
    return decode_image(stored)


def refuse(data: bytes, reason: str, ingest: IngestDecoder) -> None:
    with pytest.raises(ImageError, match=reason):
        normalise_source(data, ingest)


def test_the_versions_are_the_pinned_ones(ingest: IngestDecoder) -> None:
    assert ingest.versions() == {"tensorflow": "2.17.1", "tensorflow_io": "0.37.1"}


# TIFF


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"compression": "zlib", "predictor": True},
        {"tile": (64, 64)},
        {"rowsperstrip": 7},
        {"extrasamples": ["unassalpha"]},
        {"compression": "zlib", "extrasamples": ["assocalpha"]},
    ],
    ids=lambda options: ", ".join(map(str, options)) or "plain",
)
def test_every_value_of_16_bit_colour_is_rounded(options: dict[str, Any], ingest: IngestDecoder) -> None:
    samples = every_16_bit_value()
    if "extrasamples" in options:
        data = write_tiff(np.dstack([samples, np.full((256, 256, 1), 65535, np.uint16)]), **options)
    else:
        data = write_tiff(samples, **options)
    np.testing.assert_array_equal(read(data, ingest), rounded(samples))


def test_a_plane_a_colour_is_read_where_pillow_reads_it_wrongly(ingest: IngestDecoder) -> None:
    samples = every_16_bit_value()
    data = write_tiff(samples.transpose(2, 0, 1), planarconfig="separate")
    np.testing.assert_array_equal(read(data, ingest), rounded(samples))
    with pytest.raises(ImageError, match="in a plane a colour"):
        decode_image(data)


def test_the_first_of_several_pages_counts(ingest: IngestDecoder) -> None:
    samples = every_16_bit_value()
    pages = write_tiff(samples, samples[::-1, ::-1], np.zeros((9, 9, 3), np.uint16))
    np.testing.assert_array_equal(read(pages, ingest), rounded(samples))
    # Of 8 bits Pillow reads the pages, and tensorflow-io would read the same.
    pages = write_tiff(PIXELS, PIXELS[:, ::-1])
    stored, decoder = normalise_source(pages, ingest)
    assert decoder == "pillow"
    np.testing.assert_array_equal(decode_image(stored), PIXELS)
    np.testing.assert_array_equal(ingest.decode(pages, "TIFF"), PIXELS)


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
@pytest.mark.parametrize("planes", [False, True])
def test_16_bit_alpha_is_laid_on_white(kind: str, planes: bool, ingest: IngestDecoder) -> None:
    colour = PIXELS.astype(np.uint16) * 257 // 2
    alpha = np.linspace(0, 65535, PIXELS[..., :1].size).reshape(20, 28, 1).astype(np.uint16)
    share = alpha / 65535
    if kind == "assocalpha":
        colour = (colour * share).astype(np.uint16)
    samples = np.dstack([colour, alpha])
    layout = {"planarconfig": "separate"} if planes else {}
    data = write_tiff(samples.transpose(2, 0, 1) if planes else samples, extrasamples=[kind], **layout)
    expected = colour / 257 * (1 if kind == "assocalpha" else share) + 255 * (1 - share)
    # Colour and alpha are each rounded; not multiplied, they are so before they are multiplied.
    tolerance = 1 if kind == "assocalpha" else 1.5
    np.testing.assert_allclose(read(data, ingest).astype(float), expected, atol=tolerance)


@pytest.mark.parametrize("orientation", range(10))
def test_turned_tiffs_are_put_upright(orientation: int, ingest: IngestDecoder) -> None:
    data = write_tiff(PIXELS.astype(np.uint16) * 257, extratags=[(274, "H", 1, orientation, True)])
    # Pillow's own turning of the same file, whose high bytes are the pixels.
    np.testing.assert_array_equal(read(data, ingest), decode_image(data))


def test_a_fourth_sample_that_is_no_alpha_stays_with_pillow(ingest: IngestDecoder) -> None:
    samples = np.dstack([PIXELS, PIXELS[..., :1]]).astype(np.uint16) * 257
    stored, decoder = normalise_source(write_tiff(samples, extrasamples=["unspecified"]), ingest)
    assert decoder == "pillow"
    np.testing.assert_array_equal(decode_image(stored), PIXELS)


def test_damage_that_libtiff_goes_on_over_is_refused(ingest: IngestDecoder) -> None:
    samples = every_16_bit_value()
    deflated = bytearray(write_tiff(PIXELS.astype(np.uint16) * 257, compression="zlib"))
    deflated[300:330] = bytes(30)
    refuse(bytes(deflated), "the TIFF cannot be decoded: ZIPDecode", ingest)
    tiled = write_tiff(samples, tile=(64, 64))
    refuse(tiled[:-5000], "the TIFF cannot be decoded: TIFFFillTile: Read error", ingest)
    refuse(write_tiff(samples)[:-5000], "the TIFF cannot be decoded", ingest)
    np.testing.assert_array_equal(read(write_tiff(samples), ingest), rounded(samples))  # and the next is clean


def test_sizes_are_checked_before_any_pixel(ingest: IngestDecoder) -> None:
    with pytest.raises(ImageError, match="28 x 20 pixels exceed the limit"):
        normalise_source(write_tiff(PIXELS.astype(np.uint16)), ingest, max_pixels=28 * 20 - 1)
    with pytest.raises(ImageError, match="64 x 64 pixels exceed the limit"):
        normalise_source(write_dicom(RAMP.astype(np.uint16)), ingest, max_pixels=64 * 64 - 1)
    refuse(write_tiff(np.zeros((7, 9, 3), np.uint16)), "each side must be at least 8", ingest)
    refuse(write_dicom(np.zeros((7, 9), np.uint16)), "each side must be at least 8", ingest)


# DICOM


def shown(name: str) -> NDArray[Any]:
    """Return what a viewer shows of one of pydicom's files, worked out by pydicom, from 0 to 255."""
    file = pydicom.dcmread(get_testdata_file(name))
    samples = file.pixel_array if file.get("NumberOfFrames", 1) == 1 else file.pixel_array[0]
    if file.PhotometricInterpretation == "PALETTE COLOR":
        return apply_color_lut(samples, file) >> 8
    if samples.ndim == 3:
        return samples / (2**file.BitsStored - 1) * 255
    values = apply_modality_lut(samples, file).astype(float)
    if "WindowWidth" in file:
        lowest, highest = apply_windowing(np.array([-1e9, 1e9]), file)
        values = (apply_windowing(values, file) - lowest) / (highest - lowest) * 255
    elif file.BitsStored != 8:
        values = (values - values.min()) / np.ptp(values) * 255
    return np.dstack([values] * 3)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("CT_small.dcm", 0.51),  # signed, rescaled, no window
        ("MR_small.dcm", 0.51),  # signed, a window
        ("MR_small_bigendian.dcm", 0.51),
        ("MR_small_RLE.dcm", 0.51),
        ("ExplVR_BigEnd.dcm", 0.0),  # RGB, from ultrasound
        ("SC_rgb_jpeg_dcmtk.dcm", 1.0),
        ("SC_rgb_rle.dcm", 0.0),
        ("SC_rgb_rle_2frame.dcm", 0.0),
        ("SC_rgb_rle_16bit.dcm", 0.51),
        ("SC_ybr_full_422_uncompressed.dcm", 1.0),
        ("examples_palette.dcm", 0.0),
        ("examples_rgb_color.dcm", 0.0),
        ("image_dfl.dcm", 0.0),  # 8 bits, deflated
        ("liver_1frame.dcm", 0.0),  # 1 bit
    ],
)
def test_pydicoms_files_look_as_pydicom_says(name: str, tolerance: float, ingest: IngestDecoder) -> None:
    image = read(Path(get_testdata_file(name)).read_bytes(), ingest)
    np.testing.assert_allclose(image.astype(float), shown(name), atol=tolerance)


@pytest.mark.parametrize("name", ["MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_lossless_codecs_give_the_uncompressed_pixels(name: str, ingest: IngestDecoder) -> None:
    image = read(Path(get_testdata_file(name)).read_bytes(), ingest)
    np.testing.assert_array_equal(image, read(Path(get_testdata_file("MR_small.dcm")).read_bytes(), ingest))


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("rescaled", [False, True])
def test_the_first_window_by_hand(inverted: bool, signed: bool, rescaled: bool, ingest: IngestDecoder) -> None:
    # The window from 1000 to 1500: (value - 1249.5) / 499 + 0.5, and white where that is 1.
    values = RAMP - 500
    expected = np.rint(np.clip(((values - 1249.5) / 499 + 0.5) * 255, 0, 255))
    offset = (0 if signed else 500) + (100 if rescaled else 0)
    data = write_dicom(
        (values + offset).astype(np.int16 if signed else np.uint16),
        PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2",
        RescaleSlope="1",
        RescaleIntercept=str(-offset),
        WindowCenter=["1250", "40"],
        WindowWidth=["500", "10"],
    )
    image = read(data, ingest)[..., 0].astype(float)
    # A MONOCHROME1 value is rounded on the way: to half of one of 500.
    np.testing.assert_allclose(255 - image if inverted else image, expected, atol=1 if inverted else 0)


@pytest.mark.parametrize("slope", ["0.37", "1.5", "2.7", "-1", "100"])
def test_slopes_that_are_no_whole_numbers_cost_one_level_at_most(slope: str, ingest: IngestDecoder) -> None:
    values = RAMP * float(slope) - 1024
    data = write_dicom(RAMP.astype(np.uint16), stored=12, RescaleSlope=slope, RescaleIntercept="-1024")
    expected = (values - values.min()) / np.ptp(values) * 255
    np.testing.assert_allclose(read(data, ingest)[..., 0].astype(float), expected, atol=1.5)


def test_colour_of_12_bits_is_rounded(ingest: IngestDecoder) -> None:
    samples = np.dstack([RAMP, 4095 - RAMP, RAMP // 2]).astype(np.uint16)
    np.testing.assert_array_equal(read(write_dicom(samples, stored=12), ingest), np.rint(samples / 4095 * 255))


def sequence(**attributes: Any) -> list[Dataset]:
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return [item]


TABLE = {"LUTDescriptor": [4096, 0, 16], "LUTData": np.arange(4096, dtype=np.uint16).tobytes()}


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"RescaleSlope": "0.01", "RescaleIntercept": "0"}, "too fine for tensorflow-io"),
        ({"RescaleSlope": "0", "RescaleIntercept": "0"}, "invalid attributes"),
        ({"WindowCenter": "40", "WindowWidth": "0"}, "a window of width 0, expected >= 1"),
        ({"ModalityLUTSequence": sequence(**TABLE, ModalityLUTType="US")}, "modality table"),
        ({"VOILUTSequence": sequence(**TABLE)}, "a table instead of a window"),
    ],
)
def test_grey_values_that_tensorflow_io_does_not_give_away(
    attributes: dict[str, Any], reason: str, ingest: IngestDecoder
) -> None:
    refuse(write_dicom(RAMP.astype(np.uint16), stored=12, **attributes), reason, ingest)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("examples_overlay.dcm", "draws into the pixels"),
        ("rtdose_expb_1frame.dcm", "32 bits a sample"),
        ("MR_truncated.dcm", "larger .* than remaining bytes"),
        ("rtplan.dcm", "0 x 0 pixels|no pixel data|cannot be decoded"),
        ("SC_rgb_jpeg.dcm", "cannot be decoded"),
        ("examples_jpeg2k.dcm", "cannot be decoded"),
    ],
)
def test_pydicoms_files_that_cannot_be_used(name: str, reason: str, ingest: IngestDecoder) -> None:
    refuse(Path(get_testdata_file(name)).read_bytes(), reason, ingest)


def test_all_frames_count_for_the_limit(ingest: IngestDecoder) -> None:
    data = Path(get_testdata_file("SC_rgb_rle_2frame.dcm")).read_bytes()
    with pytest.raises(ImageError, match="2 frames of 100 x 100 pixels exceed"):
        normalise_source(data, ingest, max_pixels=15_000)


# Whatever the bytes


def test_damaged_files_are_decoded_or_refused(ingest: IngestDecoder) -> None:
    generator = random.Random(0)  # noqa: S311
    files = [write_tiff(PIXELS.astype(np.uint16) * 257, compression="zlib"), write_dicom(RAMP.astype(np.uint16))]
    ingest.versions()
    process = ingest._process
    for _ in range(300):
        data = bytearray(generator.choice(files))
        for _ in range(generator.randint(1, 4)):
            start = generator.randrange(generator.choice((600, len(data))))
            data[start : start + generator.randrange(4)] = generator.randbytes(generator.randrange(4))
        name = "TIFF" if data[:2] == b"II" else "DICOM"
        try:
            image = ingest.decode(bytes(data), name, max_pixels=1_000_000)
        except ImageError:
            continue
        assert image.dtype == np.uint8
    assert ingest._process is process, "a file ended the decoder, which is told as one more refusal"


def test_memory_that_runs_out_costs_one_image() -> None:
    command = ingest_command()
    assert command is not None
    small = [word.replace(f"main({8 << 30})", f"main({1200 << 20})") for word in command]
    assert small != command
    # 144 MB as RGBA, several times over on the way; 0.9 GB are TensorFlow's own.
    large = write_tiff(np.zeros((6000, 6000, 3), np.uint16), compression="zlib")
    with IngestDecoder(small) as decoder:
        with pytest.raises(ImageError, match="does not fit into the ingest decoder's memory"):
            decoder.decode(large, "TIFF")
        data = write_tiff(every_16_bit_value())
        np.testing.assert_array_equal(decoder.decode(data, "TIFF"), rounded(every_16_bit_value()))


def test_opencv_agrees_on_16_bit_colour(ingest: IngestDecoder) -> None:
    data = write_tiff(every_16_bit_value())
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert samples is not None
    np.testing.assert_array_equal(read(data, ingest), rounded(samples[..., ::-1]))
