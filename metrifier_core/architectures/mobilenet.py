"""MobileNets with batch normalisation folded into the convolutions, as trunks to tap; this module imports Keras."""

from collections.abc import Sequence
from itertools import count
from typing import Any, NamedTuple

from keras import layers

from metrifier_core.architectures.head import TRUNK

# Filters and stride of each separable block at width 1; Howard et al. 2017 (arXiv 1704.04861), table 1.
_V1_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
# Expansion, filters, blocks and first stride; Sandler et al. 2018 (arXiv 1801.04381), table 2.
_V2_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class TappedTrunk(NamedTuple):
    """A classifier's (N, classes) logits, and its inner (N, H, W, C) features from shallow to deep."""

    taps: Sequence[Any]
    logits: Any


class _Builder:
    """Stacks convolutions with biases, and numbers them."""

    def __init__(self) -> None:
        self._numbers = count()

    def _name(self) -> str:
        return f"{TRUNK}{next(self._numbers)}"

    def convolve(self, features: Any, filters: int, size: int = 1, strides: int = 1, *, activate: bool = True) -> Any:
        features = layers.Conv2D(filters, size, strides, padding="same", name=self._name())(features)
        return layers.ReLU(6.0)(features) if activate else features

    def convolve_depthwise(self, features: Any, strides: int) -> Any:
        return layers.ReLU(6.0)(layers.DepthwiseConv2D(3, strides, padding="same", name=self._name())(features))

    def classify(self, features: Any, classes: int) -> Any:
        return layers.Dense(classes, name=self._name())(layers.GlobalAveragePooling2D()(features))


def mobilenet_v1(pixels: Any, alpha: float, classes: int) -> TappedTrunk:
    """Build MobileNetV1 of width `alpha` on (N, H, W, 3) pixels in [-1, 1], tapped at the end of every resolution."""
    builder = _Builder()
    x = builder.convolve(pixels, int(32 * alpha), 3, 2)
    taps = []
    for filters, strides in _V1_BLOCKS:
        if strides > 1:
            taps.append(x)
        x = builder.convolve(builder.convolve_depthwise(x, strides), int(filters * alpha))
    taps.append(x)
    return TappedTrunk(taps, builder.classify(x, classes))


def mobilenet_v2(pixels: Any, classes: int) -> TappedTrunk:
    """Build MobileNetV2 of width 1 on (N, H, W, 3) pixels in [-1, 1], tapped after each stage and before the head."""
    builder = _Builder()
    x = builder.convolve(pixels, 32, 3, 2)
    taps = []
    for expansion, filters, blocks, first_strides in _V2_STAGES:
        for block in range(blocks):
            strides = first_strides if block == 0 else 1
            expanded = builder.convolve(x, expansion * x.shape[-1]) if expansion > 1 else x
            projected = builder.convolve(builder.convolve_depthwise(expanded, strides), filters, activate=False)
            x = projected if block == 0 else layers.Add()([x, projected])
        taps.append(x)
    x = builder.convolve(x, 1280)
    taps.append(x)
    return TappedTrunk(taps, builder.classify(x, classes))
