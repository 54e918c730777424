"""multitap: a pretrained classifier whose inner features and uncertainty predict other classifiers' quality."""

from typing import Any

from metrifier_core.architectures.head import build_scorer
from metrifier_core.architectures.registry import register_architecture
from metrifier_core.workers import ApplicationSpec

_SMALL = ApplicationSpec(format="keras_applications", family="MobileNetV1", application="MobileNet", alpha=0.25)
_LARGE = ApplicationSpec(format="keras_applications", family="MobileNetV2", application="MobileNetV2")


def _build(spec: ApplicationSpec, classes: int, name: str) -> Any:
    import keras
    from keras import layers

    from metrifier_core.architectures.mobilenet import mobilenet_v1, mobilenet_v2
    from metrifier_core.layers import PooledStatistics, SortedProbabilities

    inputs = keras.Input((None, None, 3), dtype="uint8")
    pixels = layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32")(inputs)
    tapped = mobilenet_v2(pixels, classes) if spec is _LARGE else mobilenet_v1(pixels, spec.alpha, classes)
    pooled = [PooledStatistics()(tap) for tap in tapped.taps]
    return build_scorer(name, inputs, [*pooled, SortedProbabilities()(tapped.logits)], units=[256, 256], dropout=0.5)


@register_architecture(_SMALL)
def multitap_small(classes: int) -> Any:
    """Build the network on MobileNetV1 of width 0.25.

    Args:
        classes: Number of the backbone's classes.

    Returns:
        A Keras model from (N, H, W, 3) uint8 RGB, at least 32 pixels a side, to (N, 1) scores in [0, 1].
    """
    return _build(_SMALL, classes, "multitap_small")


@register_architecture(_LARGE)
def multitap_large(classes: int) -> Any:
    """Build the network on MobileNetV2 of width 1; see `multitap_small`."""
    return _build(_LARGE, classes, "multitap_large")
