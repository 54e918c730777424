"""multitap: a pretrained classifier, whose features at several depths and whose doubt tell how others will do."""

from collections.abc import Callable
from typing import Any

from metrifier_core.architectures.head import build_scorer
from metrifier_core.architectures.mobilenet import TappedTrunk, mobilenet_v1, mobilenet_v2
from metrifier_core.architectures.registry import register_architecture
from metrifier_core.workers import ApplicationSpec

_ALPHA = 0.25
_SMALL = ApplicationSpec(format="keras_applications", family="MobileNetV1", application="MobileNet", alpha=_ALPHA)
_LARGE = ApplicationSpec(format="keras_applications", family="MobileNetV2", application="MobileNetV2")


def _build(name: str, trunk: Callable[[Any], TappedTrunk]) -> Any:
    import keras
    from keras import layers

    from metrifier_core.layers import PooledStatistics, SortedProbabilities

    inputs = keras.Input((None, None, 3), dtype="uint8")
    tapped = trunk(layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32")(inputs))
    pooled = [PooledStatistics()(tap) for tap in tapped.taps]
    return build_scorer(name, inputs, [*pooled, SortedProbabilities()(tapped.logits)], units=[256, 256], dropout=0.5)


@register_architecture(_SMALL)
def multitap_small(classes: int) -> Any:
    """Builds the network on MobileNetV1 of width 0.25.

    Args:
        classes: How many the backbone tells apart.

    Returns:
        A Keras model from (N, H, W, 3) uint8 RGB, at least 32 pixels a side, to (N, 1) scores in [0, 1].
    """
    return _build("multitap_small", lambda pixels: mobilenet_v1(pixels, _ALPHA, classes))


@register_architecture(_LARGE)
def multitap_large(classes: int) -> Any:
    """Builds the network on MobileNetV2 of width 1; see `multitap_small`."""
    return _build("multitap_large", lambda pixels: mobilenet_v2(pixels, classes))
