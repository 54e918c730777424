"""What `keras.applications` answer with seeded weights; `python -m tests.helpers.application_logits` prints it as JSON.

It is kept in tests/golden/keras_applications.json. Write it anew when an application is added, or its preprocessing is
meant to change:

    python -m tests.helpers.application_logits > tests/golden/keras_applications.json
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrifier_core.execution.checksums import file_sha256
from metrifier_core.workers import ApplicationSpec, create_worker
from tests.helpers.example_images import natural_image

SEED = 20_260_102
CLASSES = [0, 1, 2, 500, 998, 999]

# How far apart the answers are that such weights would give: by this the last layer is divided, and gives about 1.
SPREADS = {"ResNet50": 4e4, "VGG16": 200.0, "MobileNetV2": 3.0, "InceptionV3": 1.3, "MobileNet": 0.3}

_PERIOD = 1_000_003


def make_spec(application: str, **changes: Any) -> ApplicationSpec:
    """Return an entry; the only one with a width to choose is narrow."""
    width = {"alpha": 0.25} if application == "MobileNet" else {}
    entry = {"format": "keras_applications", "family": "a", "application": application, **width}
    return ApplicationSpec.model_validate({**entry, **changes})


def build_reference(application: str) -> Any:
    """Return the model as Keras documents it, ending in a softmax, with weights that depend on the seed alone."""
    import keras

    width = {"alpha": 0.25} if application == "MobileNet" else {}
    model = getattr(keras.applications, application)(weights=None, **width)
    rng = np.random.default_rng(SEED)
    for layer in model.layers:
        for weight in layer.weights:
            # A hundred million numbers are drawn faster where they repeat themselves.
            size = int(np.prod(weight.shape))
            values = np.resize(rng.standard_normal(min(size, _PERIOD), np.float32), weight.shape)
            if weight.name == "kernel":
                depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
                inputs = np.prod(weight.shape[:2] if depthwise else weight.shape[:-1])
                values *= np.sqrt(2 / inputs, dtype=np.float32)
            elif weight.name in ("gamma", "moving_variance"):
                values = np.ones(weight.shape, np.float32)
            else:
                values *= np.float32(0.1)
            weight.assign(values)
    last = [layer for layer in model.layers if layer.weights][-1]
    last.kernel.assign(last.kernel / SPREADS[application])
    return model


def example_images(size: int) -> list[NDArray[np.uint8]]:
    """Images of which a network of that size cuts its own without resampling."""
    side = round(size / 0.875)
    return [natural_image(1, side, side + 40), natural_image(2, side + 9, side)]


def example_logits(worker: Any) -> list[list[float]]:
    """Logits of some classes, an image a row."""
    logits = worker.logits(example_images(worker.interface.input_size))
    return [[round(float(value), 4) for value in row] for row in logits[:, CLASSES]]


def golden_logits() -> dict[str, list[list[float]]]:
    """Those of every application."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seeded.weights.h5"
        for application in SPREADS:
            build_reference(application).save_weights(path)
            spec = make_spec(application, weights=str(path), sha256=file_sha256(path))
            found[application] = example_logits(create_worker("seeded", {"seeded": spec}))
    return found


if __name__ == "__main__":
    print(json.dumps(golden_logits(), indent=2))  # noqa: T201
