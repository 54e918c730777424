"""Whatever the bytes: the right pixels, or an ImageError that names the reason."""

import struct
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from metrifier_core.images import (
    ImageError,
    check_image,
    decode_image,
    encode_png,
    normalise_image,
    read_image,
)
from tests.helpers.bad_images import encode, make_chunk, make_png, picture, turned, write_awkward_images
from tests.helpers.tiff_files import write_tiff

PIXELS = picture()
PLAIN = Image.fromarray(PIXELS)
MIRRORED = Image.fromarray(PIXELS[:, ::-1])

# One file of each kind that has to be read, plain or not.
FILES = {
    "jpeg": encode(PLAIN, "JPEG"),
    "jpeg, progressive": encode(PLAIN, "JPEG", progressive=True),
    "jpeg, turned": encode(PLAIN, "JPEG", exif=turned(8)),
    "jpeg, grey": encode(PLAIN.convert("L"), "JPEG"),
    "jpeg, cmyk": encode(PLAIN.convert("CMYK"), "JPEG"),
    "png": encode(PLAIN, "PNG"),
    "png, turned": encode(PLAIN, "PNG", exif=turned(6)),
    "png, animated": encode(PLAIN, "PNG", save_all=True, append_images=[MIRRORED]),
    "png, 16-bit grey": cv2.imencode(".png", PIXELS[..., 0].astype(np.uint16) * 257)[1].tobytes(),
    "png, 16-bit colour": cv2.imencode(".png", PIXELS[..., ::-1].astype(np.uint16) * 257)[1].tobytes(),
    "png, black and white": encode(PLAIN.convert("1"), "PNG"),
    "png, alpha": encode(PLAIN.convert("RGBA"), "PNG"),
    "png, colour key": encode(PLAIN, "PNG", transparency=(0, 0, 127)),
    "webp": encode(PLAIN, "WEBP"),
    "webp, lossless": encode(PLAIN, "WEBP", lossless=True),
    "webp, turned": encode(PLAIN, "WEBP", lossless=True, exif=turned(3)),
    "webp, animated": encode(PLAIN, "WEBP", lossless=True, save_all=True, append_images=[MIRRORED]),
    "gif": encode(PLAIN, "GIF"),
    "bmp": encode(PLAIN, "BMP"),
    "tiff": encode(PLAIN, "TIFF"),
    "tiff, lzw": encode(PLAIN, "TIFF", compression="tiff_lzw"),
    "tiff, pages": encode(PLAIN, "TIFF", save_all=True, append_images=[MIRRORED]),
    "ppm": encode(PLAIN, "PPM"),
    "avif": encode(PLAIN, "AVIF", quality=100),
}
PLAIN_FILES = {"jpeg", "jpeg, progressive", "png", "webp", "webp, lossless"}


def every_16_bit_value(channels: int) -> NDArray[np.uint16]:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    return values + np.arange(channels, dtype=np.uint16) * 257


def make_16_bit_png(samples: NDArray[np.uint16], colour_type: int, extra: bytes = b"") -> bytes:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return make_png(samples.shape[1], samples.shape[0], colour_type, rows, depth=16, extra=extra)


def make_grey_tiff(rows: bytes, width: int, height: int, bits: int, photometric: int) -> bytes:
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1)]
    tags += [(278, height), (279, len(rows))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return struct.pack("<2sHI", b"II", 42, 8 + len(rows)) + rows + directory


def on_white(colour: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    share = alpha[..., None] / 255
    return colour * share + 255 * (1 - share)


def assert_close(actual: NDArray[np.uint8], expected: NDArray[Any], tolerance: float) -> None:
    np.testing.assert_allclose(actual.astype(float), np.broadcast_to(expected, actual.shape), atol=tolerance)


# The awkward folder


def test_awkward_files_are_used_or_refused_for_their_reason(tmp_path: Path) -> None:
    expected = write_awkward_images(tmp_path)
    assert set(expected) == {path.name for path in tmp_path.iterdir()}
    for name, word in expected.items():
        if word is None:
            assert read_image(tmp_path / name).shape in {(16, 24, 3), (24, 16, 3)}, name
        else:
            with pytest.raises(ImageError, match=word):
                read_image(tmp_path / name)


# Pixels


@pytest.mark.parametrize("kind", ["png", "webp, lossless", "bmp", "tiff", "tiff, lzw", "ppm"])
def test_lossless_files_keep_their_pixels(kind: str) -> None:
    np.testing.assert_array_equal(decode_image(FILES[kind]), PIXELS)


@pytest.mark.parametrize("kind", FILES)
def test_pixels_are_the_callers_own(kind: str) -> None:
    image = decode_image(FILES[kind])
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
    assert image.flags.c_contiguous
    assert image.flags.writeable
    assert image.flags.owndata


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, PIXELS),
        (2, PIXELS[:, ::-1]),
        (3, PIXELS[::-1, ::-1]),
        (4, PIXELS[::-1]),
        (5, PIXELS.transpose(1, 0, 2)),
        (6, np.rot90(PIXELS, -1)),
        (7, PIXELS[::-1, ::-1].transpose(1, 0, 2)),
        (8, np.rot90(PIXELS)),
        (9, PIXELS),
    ],
)
def test_orientation_is_applied(orientation: int, upright: NDArray[np.uint8]) -> None:
    exif = turned(orientation)
    for data in (
        encode(PLAIN, "PNG", exif=exif),
        encode(PLAIN, "WEBP", lossless=True, exif=exif),
        encode(PLAIN, "TIFF", exif=exif),
    ):
        np.testing.assert_array_equal(decode_image(data), upright)


def test_orientation_of_a_jpeg_is_applied() -> None:
    stored = decode_image(encode(PLAIN, "JPEG", quality=95, subsampling=0))
    assert_close(stored, PIXELS, 8)
    image = decode_image(encode(PLAIN, "JPEG", quality=95, subsampling=0, exif=turned(6)))
    np.testing.assert_array_equal(image, np.rot90(stored, -1))


def test_broken_exif_does_not_spoil_the_pixels() -> None:
    np.testing.assert_array_equal(decode_image(encode(PLAIN, "PNG", exif=b"Exif\0\0nonsense")), PIXELS)


def test_alpha_is_laid_on_white() -> None:
    alpha = np.linspace(0, 255, 24).astype(np.uint8)[None, :].repeat(16, axis=0)
    image = decode_image(encode(Image.fromarray(np.dstack([PIXELS, alpha])), "PNG"))
    assert_close(image, on_white(PIXELS, alpha), 1)
    assert (image[:, 0] == 255).all()
    np.testing.assert_array_equal(image[:, -1], PIXELS[:, -1])

    grey = PIXELS[..., 1]
    image = decode_image(encode(Image.fromarray(np.dstack([grey, alpha])), "PNG"))
    assert_close(image, on_white(grey[..., None], alpha), 1)


def test_transparent_palette_entries_are_laid_on_white() -> None:
    indices = np.arange(16 * 24, dtype=np.uint8).reshape(16, 24) % 4
    palette = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200], [9, 9, 9]], np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    alpha = np.array([0, 128, 255, 255], np.uint8)
    for transparency, entry_alpha in ((alpha.tobytes(), alpha), (0, np.array([0, 255, 255, 255]))):
        expected = on_white(palette, entry_alpha)[indices]
        assert_close(decode_image(encode(image, "PNG", transparency=transparency)), expected, 1)
    gif = decode_image(encode(image, "GIF", transparency=2))
    np.testing.assert_array_equal(gif, np.where((indices == 2)[..., None], 255, palette[indices]))


def test_the_transparent_colour_becomes_white() -> None:
    pixels = PIXELS.copy()
    pixels[4:9, 5:7] = key = (10, 20, 30)
    expected = pixels.copy()
    expected[4:9, 5:7] = 255
    data = encode(Image.fromarray(pixels), "PNG", transparency=key)
    np.testing.assert_array_equal(decode_image(data), expected)

    data = encode(Image.fromarray(pixels[..., 0]), "PNG", transparency=10)
    grey = np.where(pixels[..., 0] == 10, 255, pixels[..., 0])
    np.testing.assert_array_equal(decode_image(data), np.dstack([grey] * 3))


def test_16_bit_grey_is_scaled_and_rounded() -> None:
    samples = every_16_bit_value(1)
    expected = np.rint(samples / 257)
    tiff = make_grey_tiff(samples.tobytes(), 256, 256, bits=16, photometric=1)
    white_is_zero = make_grey_tiff((65535 - samples).tobytes(), 256, 256, bits=16, photometric=0)
    big_endian = b"P5 256 256 65535\n" + samples.astype(">u2").tobytes()
    for data in (make_16_bit_png(samples, 0), tiff, white_is_zero, big_endian):
        assert_close(decode_image(data), expected, 0)


def test_transparent_16_bit_grey_becomes_white() -> None:
    samples = every_16_bit_value(1)
    expected = np.rint(samples / 257)
    expected[samples == 1000] = 255
    key = make_chunk(b"tRNS", struct.pack(">H", 1000))
    assert_close(decode_image(make_16_bit_png(samples, 0, key)), expected, 0)


def test_12_bit_grey_is_scaled() -> None:
    rows = b"\x00\x08\x00" + b"\xff\xff\xff" * 3  # samples 0, 2048, then six of 4095
    image = decode_image(make_grey_tiff(rows * 8, 8, 8, bits=12, photometric=1))
    assert_close(image[..., 0], np.array([0, 128, 255, 255, 255, 255, 255, 255]), 0)


def test_16_bit_colour_is_scaled() -> None:
    samples = every_16_bit_value(3)
    tiff = cv2.imencode(".tiff", samples[..., ::-1])[1].tobytes()
    for data in (make_16_bit_png(samples, 2), tiff):
        image = decode_image(data)
        assert_close(image, samples / 257, 1)
        assert image.min() == 0
        assert image.max() == 255


@pytest.mark.parametrize(("colour_type", "channels"), [(4, 1), (6, 3)])
def test_16_bit_alpha_is_laid_on_white(colour_type: int, channels: int) -> None:
    samples = every_16_bit_value(channels + 1)
    image = decode_image(make_16_bit_png(samples, colour_type))
    assert_close(image, on_white(samples[..., :-1] / 257, samples[..., -1] / 257), 2)


@pytest.mark.parametrize("kind", ["png, animated", "webp, animated", "tiff, pages"])
def test_the_first_frame_counts(kind: str) -> None:
    np.testing.assert_array_equal(decode_image(FILES[kind]), PIXELS)


def test_the_first_frame_of_a_gif_counts() -> None:
    first, second = (Image.new("RGB", (24, 16), colour) for colour in ("red", "blue"))
    image = decode_image(encode(first, "GIF", save_all=True, append_images=[second]))
    np.testing.assert_array_equal(image, np.broadcast_to([255, 0, 0], (16, 24, 3)))


@pytest.mark.parametrize(
    ("inks", "colour"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 255, 0, 0), (255, 0, 255)),
        ((0, 0, 0, 128), (127, 127, 127)),
        ((0, 0, 0, 255), (0, 0, 0)),
    ],
)
def test_cmyk_jpegs_are_converted(inks: tuple[int, ...], colour: tuple[int, ...]) -> None:
    image = decode_image(encode(Image.new("CMYK", (16, 16), inks), "JPEG", quality=95))
    assert_close(image, np.array(colour), 2)


def test_grey_and_black_and_white_become_rgb() -> None:
    grey = PLAIN.convert("L")
    np.testing.assert_array_equal(decode_image(encode(grey, "PNG")), np.dstack([np.array(grey)] * 3))
    bits = np.indices((16, 24)).sum(axis=0) % 2 == 1
    for file_format in ("PNG", "PPM", "TIFF"):
        image = decode_image(encode(Image.fromarray(bits), file_format))
        np.testing.assert_array_equal(image, np.dstack([bits * np.uint8(255)] * 3))


# Reasons


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_pixels_of_unknown_range_are_refused(kind: type[np.generic]) -> None:
    data = encode(Image.fromarray(PIXELS[..., 0].astype(kind)), "TIFF")
    with pytest.raises(ImageError, match="unknown range"):
        decode_image(data)


def test_floating_point_colour_is_refused() -> None:
    data = cv2.imencode(".tiff", PIXELS.astype(np.float32) / 255)[1].tobytes()
    with pytest.raises(ImageError, match="unknown kind or range"):
        decode_image(data)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow also warns of a TIFF without its directory
@pytest.mark.parametrize("kind", sorted(FILES.keys() - {"tiff, pages"}))  # whose first half is its first page
def test_half_a_file_is_refused(kind: str) -> None:
    data = FILES[kind]
    with pytest.raises(ImageError, match=r"truncated|damaged"):
        decode_image(data[: len(data) // 2])


@pytest.mark.parametrize("kind", ["jpeg", "jpeg, progressive", "png", "webp", "webp, lossless"])
def test_no_truncated_file_passes_for_whole(kind: str) -> None:
    data = FILES[kind]
    for length in range(len(data) // 2, len(data)):
        with pytest.raises(ImageError, match="truncated"):
            decode_image(data[:length])


@pytest.mark.parametrize("data", [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"%PDF-1.7\n", b"<svg/>", b"\0\0\1\0\1\0"])
def test_other_formats_are_refused_unparsed(data: bytes) -> None:
    with pytest.raises(ImageError, match="not an image"):
        decode_image(data)


def test_the_pixel_limit_is_the_callers() -> None:
    assert decode_image(FILES["png"], max_pixels=24 * 16).shape == (16, 24, 3)
    with pytest.raises(ImageError, match=r"24 x 16 pixels exceed the limit of 0\.000383 megapixels"):
        decode_image(FILES["png"], max_pixels=24 * 16 - 1)


def test_the_pixel_limit_comes_before_any_pixel() -> None:
    with pytest.raises(ImageError, match="30000 x 30000 pixels exceed the limit of 100 megapixels"):
        decode_image(make_png(30_000, 30_000, 2, b""))


def test_a_vast_webp_canvas_is_refused() -> None:
    data = bytearray(FILES["webp, animated"])
    data[24:27] = data[27:30] = (30_000 - 1).to_bytes(3, "little")
    with pytest.raises(ImageError, match="exceed"):
        decode_image(bytes(data))


def test_the_limit_of_pillow_plays_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 250)  # Pillow would warn of 384 pixels
    np.testing.assert_array_equal(decode_image(FILES["png"]), PIXELS)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((7, 100), "7 x 100 pixels: each side must be at least 8"),
        ((100, 7), "100 x 7 pixels: each side must be at least 8"),
        ((65_536, 8), "65536 x 8 pixels: each side must be at most 65500"),
    ],
)
def test_sides_have_limits(size: tuple[int, int], reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        decode_image(encode(Image.new("RGB", size), "PNG"))


# Whatever the bytes


def assert_decodes_or_refuses(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of metadata that it cannot read
        try:
            image = decode_image(data, max_pixels=1_000_000)
        except ImageError:
            return
        stored, height, width = normalise_image(data)
        assert check_image(image).shape == (height, width, 3)
        np.testing.assert_array_equal(decode_image(stored), image)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_never_leak_another_error(data: bytes) -> None:
    assert_decodes_or_refuses(data)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(FILES)), st.randoms(use_true_random=False), st.data())
def test_damaged_files_never_leak_another_error(kind: str, random: Any, draw: st.DataObject) -> None:
    data = bytearray(FILES[kind])
    for _ in range(draw.draw(st.integers(1, 4))):
        start = random.randrange(random.choice((64, len(data))))
        stop = start + random.randrange(4)
        data[start:stop] = random.randbytes(random.choice((stop - start, random.randrange(4))))
    assert_decodes_or_refuses(bytes(data))


# Storing


@given(arrays(np.uint8, st.tuples(st.integers(8, 20), st.integers(8, 20), st.just(3))))
def test_png_is_lossless_and_repeatable(image: NDArray[np.uint8]) -> None:
    data = encode_png(image)
    np.testing.assert_array_equal(decode_image(data), image)
    assert data == encode_png(np.asfortranarray(image))


@pytest.mark.parametrize("kind", FILES)
def test_normalised_bytes_hold_the_same_pixels_for_every_reader(kind: str) -> None:
    image = decode_image(FILES[kind])
    stored, height, width = normalise_image(FILES[kind])
    assert (height, width, 3) == image.shape
    np.testing.assert_array_equal(decode_image(stored), image)

    naive = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_UNCHANGED)  # no EXIF, no conversion
    assert naive is not None
    assert naive.dtype == np.uint8
    assert_close(naive[..., ::-1], image, 2 if "jpeg" in kind and stored is FILES[kind] else 0)


@pytest.mark.parametrize("kind", FILES)
def test_only_plain_files_keep_their_bytes(kind: str) -> None:
    assert (normalise_image(FILES[kind])[0] is FILES[kind]) == (kind in PLAIN_FILES)


def test_a_colour_profile_is_no_reason_to_re_encode() -> None:
    data = encode(PLAIN, "JPEG", icc_profile=b"a profile")
    assert normalise_image(data)[0] is data


def test_what_is_far_larger_than_its_pixels_is_re_encoded() -> None:
    """Else megabytes behind a thumbnail would be stored as the image, and once more as its pristine version."""
    padded = FILES["jpeg"] + bytes(2 << 20)
    stored, height, width = normalise_image(padded)
    assert len(stored) < 1 << 20
    np.testing.assert_array_equal(decode_image(stored), decode_image(FILES["jpeg"]))
    assert (height, width) == PIXELS.shape[:2]


def test_a_tile_is_limited_like_an_image() -> None:
    """It is decoded whole, however little of it the image takes."""
    data = write_tiff(PIXELS, tile=(256, 256), compression="zlib")
    assert_close(decode_image(data, max_pixels=256 * 256), PIXELS, 0)
    with pytest.raises(ImageError, match=r"^a tile of 256 x 256 pixels exceeds the limit of 0\.06 megapixels$"):
        decode_image(data, max_pixels=60_000)


def test_normalising_refuses_what_decoding_refuses() -> None:
    with pytest.raises(ImageError, match="truncated"):
        normalise_image(FILES["jpeg"][:-20])
    with pytest.raises(ImageError, match="exceed"):
        normalise_image(FILES["jpeg"], max_pixels=100)


# Arrays and paths


def test_a_good_array_comes_back_itself() -> None:
    image = np.zeros((8, 9, 3), np.uint8)
    assert check_image(image) is image


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (None, r"expected a uint8 array \(height, width, 3\), got NoneType"),
        ([[1, 2, 3]], "got list"),
        (np.zeros((9, 9), np.uint8), r"got uint8 \(9, 9\)$"),
        (np.zeros((9, 9, 4), np.uint8), r"got uint8 \(9, 9, 4\)$"),
        (np.zeros((2, 9, 9, 3), np.uint8), r"got uint8 \(2, 9, 9, 3\)$"),
        (np.zeros((9, 9, 3), np.int64), r"got int64 \(9, 9, 3\)$"),
        (np.full((9, 9, 3), 200.0), r"got float64 \(9, 9, 3\)$"),
        (np.full((9, 9, 3), 0.5, np.float32), r"got float32 \(9, 9, 3\): multiply by 255, round and cast"),
        (np.zeros((0, 9, 3), np.float32), r"got float32 \(0, 9, 3\)$"),
        (np.zeros((7, 9, 3), np.uint8), "9 x 7 pixels: each side must be at least 8"),
    ],
)
def test_other_arrays_are_refused(image: object, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        check_image(image)


@pytest.mark.parametrize(
    ("make_path", "reason"),
    [
        (lambda folder: folder / "missing.png", "cannot be read: No such file"),
        (lambda folder: folder, "cannot be read: Is a directory"),
        (lambda folder: str(folder / "null\0"), "cannot be read: embedded null"),
    ],
)
def test_paths_that_cannot_be_read(make_path: Callable[[Path], Path], reason: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=reason):
        read_image(make_path(tmp_path))


def test_a_path_may_be_text(tmp_path: Path) -> None:
    (tmp_path / "plain.png").write_bytes(FILES["png"])
    np.testing.assert_array_equal(read_image(str(tmp_path / "plain.png")), PIXELS)
    with pytest.raises(ImageError, match="exceed"):
        read_image(tmp_path / "plain.png", max_pixels=100)


def test_threads_do_not_disturb_each_other() -> None:
    kinds = sorted(FILES) * 4
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(lambda kind: decode_image(FILES[kind]), kinds))
    for kind, image in zip(kinds, images, strict=True):
        np.testing.assert_array_equal(image, decode_image(FILES[kind]))
