"""The classifiers of `keras.applications`, as Keras documents them."""

from pathlib import Path
from typing import Any

from metrifier_core.workers.catalogue import IMAGENET, Application, ApplicationSpec
from metrifier_core.workers.interface import ModelInterface
from metrifier_core.workers.weights import load_keras_weights

# `preprocess_input` of these subtracts the mean colour of ImageNet from bytes in BGR order, as Caffe did; the others
# scale to [-1, 1].
_CAFFE = ("ResNet50", "VGG16")


def application_interface(application: Application) -> ModelInterface:
    """Return the preprocessing that `keras.applications` documents for one of its classifiers."""
    if application in _CAFFE:
        return ModelInterface(
            input_size=224, layout="NHWC", channels="BGR", scale=1.0, mean=(123.68, 116.779, 103.939), outputs="logits"
        )
    size = 299 if application == "InceptionV3" else 224
    return ModelInterface(input_size=size, layout="NHWC", scale=1 / 127.5, mean=(1.0, 1.0, 1.0), outputs="logits")


def _build(spec: ApplicationSpec, weights: str | None) -> Any:
    import keras

    width = {"alpha": spec.alpha} if spec.application.startswith("MobileNet") else {}
    # Without the final softmax: cross-entropy from logits stays exact for tiny probabilities.
    return getattr(keras.applications, spec.application)(weights=weights, classifier_activation=None, **width)


def build_application(spec: ApplicationSpec, weights: Path | None) -> Any:
    """Build a classifier.

    Args:
        spec: Catalogue entry.
        weights: File of its Keras weights; None: those that Keras publishes, downloaded if need be.

    Returns:
        A Keras model from (N, S, S, 3) float32 to (N, 1000) logits.

    Raises:
        ValueError: The download fails, or the weights belong to another network.
    """
    if weights is not None:
        return load_keras_weights(_build(spec, None), weights, spec.application)
    try:
        return _build(spec, IMAGENET)
    except Exception as error:
        raise ValueError(
            f"the ImageNet weights of {spec.application} could not be downloaded ({error}): download them where there "
            f"is a network, and name that file as `weights`, with its `sha256`"
        ) from error


def save_application(spec: ApplicationSpec, path: Path) -> Path:
    """Download the weights that Keras publishes, write them into a file of Keras weights and return its path."""
    build_application(spec, None).save_weights(path)
    return path
