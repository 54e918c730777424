"""DICOM files, written by pydicom, which nothing here decodes with."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid


def write_dicom(samples: NDArray[Any], *, stored: int | None = None, **attributes: Any) -> bytes:
    """Write the bytes of a DICOM file: grey (height, width) or RGB (height, width, 3), `stored` bits a sample."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["metrifier"])
    file = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    file.Rows, file.Columns = samples.shape[:2]
    file.SamplesPerPixel = 1 if samples.ndim == 2 else 3
    file.PhotometricInterpretation = "MONOCHROME2" if samples.ndim == 2 else "RGB"
    if samples.ndim == 3:
        file.PlanarConfiguration = 0
    file.BitsAllocated = 8 * samples.itemsize
    file.BitsStored = stored or file.BitsAllocated
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(np.issubdtype(samples.dtype, np.signedinteger))
    for name, value in attributes.items():
        setattr(file, name, value)
    file.PixelData = samples.tobytes()
    stream = io.BytesIO()
    file.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
