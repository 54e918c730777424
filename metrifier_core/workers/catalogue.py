"""The catalogue: one frozen entry a weight file, read from YAML and checked before any work."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from metrifier_core.settings import ConfigPath, Settings

__all__ = [
    "ExportedSpec",
    "MiniatureArchitecture",
    "MiniatureSpec",
    "ModelInterface",
    "WorkerSpec",
    "file_sha256",
    "load_weights_file",
]

Triple = tuple[float, float, float]
MiniatureArchitecture = Literal["plain", "vgg", "residual", "inverted_residual", "inception"]


class MiniatureSpec(Settings):
    """A small Keras classifier that is trained on the source itself, where no pretrained one fits."""

    format: Literal["miniature"]
    family: str
    architecture: MiniatureArchitecture
    epochs: int = Field(30, ge=1, le=1000)


class ModelInterface(Settings):
    """What stands between an image and a classifier's first layer, and what its last layer means."""

    input_size: int = Field(224, ge=8, le=4096)
    layout: Literal["NHWC", "NCHW"]
    channels: Literal["RGB", "BGR"] = "RGB"
    dtype: Literal["float32", "float16"] = "float32"
    scale: float = Field(1 / 255, gt=0, description="pixels are multiplied by it first")
    mean: Triple = Field((0.0, 0.0, 0.0), description="subtracted, in RGB order")
    std: Triple = Field((1.0, 1.0, 1.0), description="divided by, in RGB order")
    crop_fraction: float = Field(0.875, gt=0, le=1)
    class_offset: int = Field(0, ge=0, description="outputs before class 0, e.g. 1 for a background class")
    outputs: Literal["logits", "probabilities"]


class ExportedSpec(ModelInterface):
    """A pretrained classifier in an exchange format, with everything that surrounds its weights."""

    format: Literal["onnx"]
    family: str = Field(description="workers of one family are held out together")
    file: ConfigPath
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    source: str = ""
    licence: str = ""


WorkerSpec = Annotated[MiniatureSpec | ExportedSpec, Field(discriminator="format")]


def file_sha256(path: Path) -> str:
    """Computes a file's SHA-256 as hexadecimal digits, in constant memory."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load_weights_file(name: str, spec: ExportedSpec) -> Path:
    """Finds and verifies a worker's weights.

    Args:
        name: The worker's name, for the message.
        spec: Its catalogue entry.

    Returns:
        The verified file.

    Raises:
        ValueError: The file is missing or is not the one that the catalogue describes.
    """
    path = Path(spec.file)
    if not path.is_file():
        raise ValueError(f"workers.catalogue.{name}.file: there is no file {path}")
    found = file_sha256(path)
    if found != spec.sha256:
        raise ValueError(f"workers.catalogue.{name}.sha256: {path} has {found}, the catalogue says {spec.sha256}")
    return path
