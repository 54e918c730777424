"""The classifiers of `keras.applications`, as Keras documents them."""

from pathlib import Path
from typing import Any

from metrifier_core.workers.catalogue import IMAGENET, Application, ApplicationSpec
from metrifier_core.workers.interface import ModelInterface

_SIZES: dict[Application, int] = {
    "ResNet50": 224,
    "VGG16": 224,
    "MobileNetV2": 224,
    "InceptionV3": 299,
    "MobileNet": 224,
}

# `preprocess_input` of these subtracts the mean colour of ImageNet and keeps the range of a byte, in BGR, as Caffe did;
# that of the others makes [-1, 1] of it.
_CAFFE = ("ResNet50", "VGG16")


def application_interface(application: Application) -> ModelInterface:
    """Gives the preprocessing that `keras.applications` documents for one of its classifiers."""
    size = _SIZES[application]
    if application in _CAFFE:
        return ModelInterface(
            input_size=size, layout="NHWC", channels="BGR", scale=1.0, mean=(123.68, 116.779, 103.939), outputs="logits"
        )
    return ModelInterface(input_size=size, layout="NHWC", scale=1 / 127.5, mean=(1.0, 1.0, 1.0), outputs="logits")


def _build(spec: ApplicationSpec, weights: str | None) -> Any:
    import keras

    width = {"alpha": spec.alpha} if spec.application.startswith("MobileNet") else {}
    # Without the softmax at its end: a cross-entropy from logits is exact where a probability is too small to be told.
    return getattr(keras.applications, spec.application)(weights=weights, classifier_activation=None, **width)


def build_application(spec: ApplicationSpec, weights: Path | None) -> Any:
    """Builds a classifier.

    Args:
        spec: Its entry.
        weights: A file of its Keras weights; those that Keras publishes, downloaded if need be, where None.

    Returns:
        A Keras model from (N, S, S, 3) float32 to (N, 1000) logits.

    Raises:
        ValueError: The weights cannot be had, or are of another network.
    """
    if weights is None:
        try:
            return _build(spec, IMAGENET)
        except Exception as error:
            raise ValueError(
                f"the ImageNet weights of {spec.application} could not be downloaded ({error}): download them where "
                f"there is a network, and name that file as `weights`, with its `sha256`"
            ) from error
    model = _build(spec, None)
    try:
        model.load_weights(weights)
    except Exception as error:
        raise ValueError(
            f"{weights} does not hold the weights of {spec.application}: {str(error).splitlines()[0]}"
        ) from error
    return model


def save_application(spec: ApplicationSpec, path: Path) -> Path:
    """Downloads the weights that Keras publishes into a file of their own."""
    build_application(spec, None).save_weights(path)
    return path
