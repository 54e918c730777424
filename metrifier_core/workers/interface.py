"""The interface of a classifier: preprocessing before its first layer, meaning of its outputs."""

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from metrifier_core.settings.base import Settings

Finite = Annotated[float, Field(allow_inf_nan=False)]
Triple = tuple[Finite, Finite, Finite]

INTEGER_RANGES = {"uint8": (0, 255), "int8": (-128, 127)}
"""Smallest and largest value of each integer dtype that a classifier may take."""


class Geometry(NamedTuple):
    """The way from an image to the square that a classifier sees; see `ModelInterface`."""

    size: int
    resize: Literal["crop", "stretch"]
    crop_fraction: float


class ModelInterface(Settings):
    """The interface of a classifier: from (x * scale - mean) / std of a square to a value per class."""

    input_size: int = Field(224, ge=8, le=4096, description="pixels a side")
    layout: Literal["NHWC", "NCHW"]
    channels: Literal["RGB", "BGR"] = "RGB"
    dtype: Literal["float32", "float16", "uint8", "int8"] = Field("float32", description="integers are rounded")
    scale: float = Field(1 / 255, gt=0, le=1e6, description="pixels are multiplied by it first")
    mean: Triple = Field((0.0, 0.0, 0.0), description="subtracted, in RGB order")
    std: Triple = Field((1.0, 1.0, 1.0), description="divided by, in RGB order")
    resize: Literal["crop", "stretch"] = Field("crop", description="cut a square out, or stretch to one")
    crop_fraction: float = Field(0.875, gt=0, le=1, description="share of the shorter side that `crop` keeps")
    outputs: Literal["logits", "probabilities"]
    class_offset: int = Field(0, ge=0, description="outputs before class 0, e.g. 1 for a background class")
    class_order: tuple[int, ...] | None = Field(
        None, description="the class that each output stands for, where that is not their own order"
    )

    @property
    def geometry(self) -> Geometry:
        """The part that says how an image becomes a square."""
        return Geometry(self.input_size, self.resize, self.crop_fraction)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if min(self.std) <= 0:
            raise ValueError(f"std: expected values greater than 0, got {min(self.std)}")
        if self.class_order is not None and sorted(self.class_order) != list(range(len(self.class_order))):
            raise ValueError("class_order: expected every class from 0 on once")
        if self.dtype not in INTEGER_RANGES:
            return self
        low, high = INTEGER_RANGES[self.dtype]
        for mean, std in zip(self.mean, self.std, strict=True):
            if round((0 - mean) / std) < low or round((255 * self.scale - mean) / std) > high:
                raise ValueError(f"dtype: scale, mean and std leave the range of {self.dtype}, {low} to {high}")
        return self
