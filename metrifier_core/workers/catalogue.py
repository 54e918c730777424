"""The catalogue of workers: one frozen entry per weight file, read from YAML and validated before any work."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, ValidationError, model_validator

from metrifier_core.settings.base import (
    OMIT_TAG,
    ConfigLocation,
    Settings,
    closest,
    describe_mistakes,
    resolve_location,
)
from metrifier_core.settings.yaml import read_yaml
from metrifier_core.workers.interface import ModelInterface

IMAGENET: Literal["imagenet"] = "imagenet"
"""The weights that Keras publishes for its applications, and downloads itself."""

MiniatureArchitecture = Literal["plain", "vgg", "residual", "inverted_residual", "inception"]
Application = Literal["ResNet50", "VGG16", "MobileNetV2", "InceptionV3", "MobileNet"]
DENSE_BATCH = 8
"""Images per call of a network whose dense layers take longer to read than to multiply."""

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def _check_family(family: str) -> str:
    # The name becomes part of folder and metric names.
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9 ._-]*", family):
        raise ValueError(f"'{family}' cannot name a family: letters, digits, spaces, '.', '_' and '-'")
    return family


Family = Annotated[str, AfterValidator(_check_family)]


class _Spec(Settings):
    """Fields of every entry."""

    family: Family = Field(description="workers of one family are held out together")
    source: str = Field("", description="where the weights come from")
    licence: str = ""
    batch_size: int | None = Field(
        None, ge=1, le=1024, description="images per call; where left out, 1 on a CPU, more on a GPU"
    )
    reduced_precision: bool = Field(False, description="let a GPU multiply in TF32")


class MiniatureSpec(_Spec):
    """A small Keras classifier, trained on the source itself where no pretrained one fits."""

    format: Literal["miniature"]
    architecture: MiniatureArchitecture
    epochs: int = Field(30, ge=1, le=1000)


class ApplicationSpec(_Spec):
    """A classifier of `keras.applications`, with the preprocessing that Keras documents."""

    format: Literal["keras_applications"]
    application: Application
    alpha: float = Field(1.0, gt=0, le=2, description="width of a MobileNet")
    weights: Literal["imagenet"] | ConfigLocation = Field(
        IMAGENET, description="what Keras publishes, or a file of Keras weights, or its URI"
    )
    sha256: Sha256 | None = Field(None, description="of the file")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.alpha != 1 and not self.application.startswith("MobileNet"):
            raise ValueError(f"alpha: expected 1 for {self.application}, got {self.alpha}")
        if (self.sha256 is None) != (self.weights == IMAGENET):
            problem = "is for a file of weights" if self.weights == IMAGENET else "is missing"
            raise ValueError(f"sha256: {problem}, and weights is {self.weights}")
        return self


class AlexNetSpec(_Spec):
    """AlexNet, with weights that `metrifier workers import-alexnet` converted."""

    format: Literal["alexnet"]
    batch_size: int | None = Field(DENSE_BATCH, ge=1, le=1024)
    weights: ConfigLocation
    sha256: Sha256


class ExportedSpec(ModelInterface, _Spec):
    """A pretrained classifier in an exchange format, with the interface around its weights."""

    format: Literal["onnx", "tflite", "keras", "saved_model"]
    file: ConfigLocation = Field(description="a file, a folder for a SavedModel, or the URI of a file")
    sha256: Sha256 = Field(description="of the file; of a folder, see docs/workers.md")


MINIATURE_INTERFACE = ModelInterface(input_size=32, layout="NHWC", scale=1.0, crop_fraction=1.0, outputs="logits")
"""The interface of all miniatures, which scale pixels themselves."""

WorkerSpec = Annotated[
    MiniatureSpec | ApplicationSpec | AlexNetSpec | ExportedSpec, Field(discriminator="format"), OMIT_TAG
]


def _application(application: Application, family: str, batch_size: int | None = None) -> ApplicationSpec:
    return ApplicationSpec(
        batch_size=batch_size,
        format="keras_applications",
        family=family,
        application=application,
        source=f"keras.applications.{application}, weights 'imagenet'",
    )


KNOWN_WORKERS: dict[str, WorkerSpec] = {
    "resnet50": _application("ResNet50", "ResNet"),
    "vgg16": _application("VGG16", "VGG", DENSE_BATCH),
    "mobilenet_v2": _application("MobileNetV2", "MobileNetV2"),
    "inception_v3": _application("InceptionV3", "Inception"),
    **{
        f"miniature_{style}": MiniatureSpec(format="miniature", family=f"miniature {style}", architecture=style)
        for style in get_args(MiniatureArchitecture)
    },
}
"""The entries that need no catalogue."""


class _Catalogue(Settings):
    """The entries, under the key `catalogue` as in a config's workers."""

    catalogue: dict[str, WorkerSpec]


class _Workers(Settings):
    """A catalogue under a config's keys, so that mistakes read the same in both."""

    workers: _Catalogue


def read_entries(path: Path) -> dict[str, Any]:
    """Read a catalogue's entries without validation; paths relative to the file become absolute.

    Raises:
        ValueError: There is no such file, it is not YAML, or it holds no entries.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    entries = read_yaml(path)
    if not isinstance(entries, dict) or not entries:
        raise ValueError(f"{path} holds no workers")
    for entry in entries.values():
        for key in ("file", "weights"):
            if isinstance(entry, dict) and isinstance(entry.get(key), str) and entry[key] != IMAGENET:
                entry[key] = resolve_location(entry[key], path.parent)
    return entries


def read_catalogue(path: Path | str) -> dict[str, WorkerSpec]:
    """Read and validate a catalogue.

    Args:
        path: YAML file with an entry per worker; paths in it are relative to it.

    Returns:
        The entries by name.

    Raises:
        ValueError: The message names every mistake.
    """
    try:
        return _Workers.model_validate({"workers": {"catalogue": read_entries(Path(path))}}).workers.catalogue
    except ValidationError as error:
        raise ValueError(describe_mistakes(error)) from error


def list_workers(catalogue: Mapping[str, WorkerSpec] | None = None) -> list[str]:
    """Return the names of the known workers and those of a catalogue, sorted."""
    return sorted({**KNOWN_WORKERS, **(catalogue or {})})


def get_worker(name: str, catalogue: Mapping[str, WorkerSpec] | None = None) -> WorkerSpec:
    """Return the entry of a worker; a catalogue's own entry comes before a known one.

    Raises:
        ValueError: The name is unknown; the message says which name is close, or how to get AlexNet.
    """
    known = {**KNOWN_WORKERS, **(catalogue or {})}
    if name in known:
        return known[name]
    if name == "alexnet":
        raise ValueError(
            "'alexnet' needs an entry in the catalogue: `metrifier workers import-alexnet FILE` converts torchvision's "
            "weights and prints it"
        )
    raise ValueError(f"unknown worker '{name}', {closest(name, list_workers(catalogue))}")
