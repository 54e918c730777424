"""What every distortion makes of three images, as hashes; `python -m tests.helpers.pixel_digests` prints them as JSON.

They are kept in tests/golden/pixels.json. Write it anew when a distortion or a level is added, or meant to change:

    python -m tests.helpers.pixel_digests > tests/golden/pixels.json
"""

import hashlib
import json

import numpy as np

from metrifier_core.distortions import SEVERITIES, apply_severities, list_distortions
from tests.helpers.example_images import IMAGES, Image

SEED = 20_260_101


def digest(pixels: Image) -> str:
    """SHA-256 of the pixels."""
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def image_digests(distortion: str, image: str) -> list[str]:
    """SHA-256 of the pixels at severity 1 to 5."""
    made = apply_severities(IMAGES[image](), distortion, SEVERITIES, np.random.default_rng(SEED))
    return [digest(pixels) for pixels in made]


def pixel_digests() -> dict[str, dict[str, list[str]]]:
    """SHA-256 of the pixels at severity 1 to 5, by distortion of the package and image."""
    names = [name for name in list_distortions() if ":" not in name]
    return {name: {image: image_digests(name, image) for image in IMAGES} for name in names}


if __name__ == "__main__":
    print(json.dumps(pixel_digests(), indent=2))  # noqa: T201
