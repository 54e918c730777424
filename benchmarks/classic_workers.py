"""The five classic workers with random weights, to be timed without a download: speed does not depend on weights.

python benchmarks/classic_workers.py build/classic
python benchmarks/workers.py build/classic/workers.yaml --images photos/
"""

import argparse
from pathlib import Path
from typing import Any

import keras
from ruamel.yaml import YAML

from metrifier_core.execution.checksums import path_sha256
from metrifier_core.workers.alexnet import build_alexnet

APPLICATIONS = {
    "resnet50": ("ResNet50", "ResNet"),
    "vgg16": ("VGG16", "VGG"),
    "mobilenet_v2": ("MobileNetV2", "MobileNetV2"),
    "inception_v3": ("InceptionV3", "Inception"),
}


def _write(folder: Path, name: str, network: Any) -> dict[str, Any]:
    """Write a network's weights and return their part of a catalogue entry."""
    path = folder / f"{name}.weights.h5"
    network.save_weights(path)
    return {"weights": path.name, "sha256": path_sha256(path)}


def main() -> None:
    """Write the weights and a catalogue of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    entries: dict[str, Any] = {}
    for name, (application, family) in APPLICATIONS.items():
        network = getattr(keras.applications, application)(weights=None)
        entry = {"format": "keras_applications", "family": family, "application": application}
        entries[name] = {**entry, **_write(folder, name, network)}
    entries["alexnet"] = {"format": "alexnet", "family": "AlexNet", **_write(folder, "alexnet", build_alexnet())}
    YAML().dump(entries, folder / "workers.yaml")


if __name__ == "__main__":
    main()
