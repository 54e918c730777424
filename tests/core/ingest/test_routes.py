"""Which decoder reads which files; what becomes of them where there is no ingest decoder."""

import json
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from metrifier_core.images import ImageError, decode_image, detect_format
from metrifier_core.ingest.routes import DECODERS, find_decoder, normalise_source
from tests.helpers.bad_images import encode, picture, turned
from tests.helpers.dicom_files import write_dicom
from tests.helpers.tiff_files import write_tiff

PIXELS = picture()
PLAIN = Image.fromarray(PIXELS)
WIDE = PIXELS.astype(np.uint16) * 257

PILLOW = {
    "jpeg, turned": encode(PLAIN, "JPEG", exif=turned(6)),
    "webp": encode(PLAIN, "WEBP"),
    "avif": encode(PLAIN, "AVIF"),
    "png, 16-bit colour": cv2.imencode(".png", WIDE)[1].tobytes(),
    "tiff": write_tiff(PIXELS),
    "tiff, pages": write_tiff(PIXELS, PIXELS[::-1]),
    "tiff, a plane a colour": write_tiff(PIXELS.transpose(2, 0, 1), planarconfig="separate"),
    "tiff, 16-bit grey": write_tiff(WIDE[..., 0], photometric="minisblack"),
    "tiff, 16-bit cmyk": write_tiff(np.dstack([WIDE, WIDE[..., 0]]), photometric="separated"),
    "tiff, 16 bits and a fourth that is no alpha": write_tiff(
        np.dstack([WIDE, WIDE[..., 0]]), extrasamples=["unspecified"]
    ),
    "tiff, 8 and then 16 bits": write_tiff(PIXELS, WIDE),
    "text": b"This is no image.\n",
    "tiff, of which nothing is left": write_tiff(WIDE)[:9],
}
INGEST = {
    "tiff, 16-bit colour": write_tiff(WIDE),
    "tiff, 16-bit colour, pages": write_tiff(WIDE, PIXELS),
    "tiff, 16-bit colour, a plane a colour": write_tiff(WIDE.transpose(2, 0, 1), planarconfig="separate"),
    "tiff, 16-bit colour, alpha": write_tiff(np.dstack([WIDE, WIDE[..., 0]]), extrasamples=["unassalpha"]),
    "dicom": write_dicom(PIXELS[..., 0]),
    "dicom that begins as a tiff": b"II*\0" + write_dicom(PIXELS[..., 0])[4:],
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of a TIFF without its directory
@pytest.mark.parametrize("kind", PILLOW)
def test_what_pillow_reads(kind: str) -> None:
    assert find_decoder(PILLOW[kind]) == "pillow"


@pytest.mark.parametrize("kind", INGEST)
def test_what_tensorflow_io_reads(kind: str) -> None:
    assert find_decoder(INGEST[kind]) == "tensorflow-io"
    word = "DICOM" if "dicom" in kind else "16-bit colour TIFF"
    with pytest.raises(ImageError, match=f"^{word} needs the ingest decoder: make ingest-env$"):
        normalise_source(INGEST[kind], None)


def test_every_decoder_is_used() -> None:
    assert [find_decoder(PILLOW["tiff"]), find_decoder(INGEST["dicom"])] == list(DECODERS)


class _Asked:
    """Takes the place of the ingest decoder, and keeps what it is asked."""

    name = "tensorflow-io"

    def decode(self, data: bytes, file_format: str, **header: Any) -> NDArray[np.uint8]:
        self.header = json.loads(json.dumps({"size": len(data), "format": file_format, **header}))
        return PIXELS


def test_an_orientation_may_be_a_fraction() -> None:
    asked: Any = _Asked()
    data = write_tiff(WIDE, extratags=[(274, 5, 1, (6, 1))], metadata=None)
    stored, decoder = normalise_source(data, asked)
    assert (asked.header["orientation"], decoder) == (6, "tensorflow-io")
    np.testing.assert_array_equal(decode_image(stored), PIXELS)


def test_pillows_images_are_stored_as_before() -> None:
    stored, decoder = normalise_source(PILLOW["webp"], None)
    assert (stored, decoder) == (PILLOW["webp"], "pillow")
    stored, decoder = normalise_source(PILLOW["tiff"], None)
    np.testing.assert_array_equal(decode_image(stored), PIXELS)
    with pytest.raises(ImageError, match="not an image in a known format"):
        normalise_source(PILLOW["text"], None)


@pytest.mark.parametrize("kind", ["dicom", "dicom that begins as a tiff"])
def test_pillows_decoder_says_who_reads_dicom(kind: str) -> None:
    assert detect_format(INGEST[kind]) == "DICOM"
    with pytest.raises(ImageError, match="DICOM is read by the stage download only"):
        decode_image(INGEST[kind])


@pytest.mark.parametrize("photometric", ["rgb", "separated"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pillow_refuses_16_bits_in_a_plane_a_colour(photometric: str, compression: str | None) -> None:
    samples = np.dstack([WIDE] + [WIDE[..., 0]] * (photometric == "separated"))
    data = write_tiff(
        samples.transpose(2, 0, 1), photometric=photometric, planarconfig="separate", compression=compression
    )
    with pytest.raises(ImageError, match="in a plane a colour"):
        decode_image(data)
