"""What every distortion makes of one image, as hashes; `python -m tests.core.pixel_digests` prints them as JSON.

Its output is kept as tests/golden/pixels.json: write it anew when a distortion is added, or meant to change.
"""

import hashlib
import json

import cv2
import numpy as np
from numpy.typing import NDArray

from metrifier_core.distortions import SEVERITIES, apply_distortion, list_distortions

SEED = 20_260_101


def example_image() -> NDArray[np.uint8]:
    """Gradients, edges and texture in whole numbers, so that it is the same everywhere; odd sides."""
    rows, columns = np.indices((193, 257))
    red = columns * 255 // 256
    green = 40 + 160 * ((rows // 24 + columns // 17) % 2)
    blue = (rows * columns // 61 + 3 * rows) % 256
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def pixel_digests(distortion: str) -> list[str]:
    """SHA-256 of the pixels at severity 1 to 5."""
    image = example_image()
    distorted = (apply_distortion(image, distortion, severity, np.random.default_rng(SEED)) for severity in SEVERITIES)
    return [hashlib.sha256(pixels.tobytes()).hexdigest() for pixels in distorted]


if __name__ == "__main__":
    cv2.setNumThreads(1)
    print(json.dumps({name: pixel_digests(name) for name in list_distortions()}, indent=2))  # noqa: T201
