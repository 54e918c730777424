"""How far workers agree on distorted images: the rank correlation of every two, and each one's ceiling if held out.

    python benchmarks/agreement.py tests/realdata/workers.yaml --manifest manifest.csv --root images/

Every image has its pristine version and some distorted ones of all types; every worker is calibrated on pristine
versions of other images. A worker's ceiling is the rank correlation of its true-class probability with the mean of
all workers of other families.
"""

import argparse
import json
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metrifier_core.distortions import SEVERITIES, encode_versions, get_distortion, list_distortions, version_seed
from metrifier_core.execution.parallel import parallel_map
from metrifier_core.execution.progress import progress
from metrifier_core.images import decode_image, decode_version
from metrifier_core.sources import ManifestSource, SourceItem, list_items
from metrifier_core.statistics import worker_agreement
from metrifier_core.workers import Worker, find_weights, open_worker, read_catalogue
from metrifier_core.workers.losses import fit_temperature, judge

_TYPES = [name for name in list_distortions() if not get_distortion(name).test_only]


def _versions(item: SourceItem, count: int) -> list[bytes]:
    """Make an image's pristine version and some others, drawn by its identity."""
    data = item.read()
    image = decode_image(data)
    rng = np.random.default_rng(version_seed(0, item.image_id, "agreement"))
    conditions = [(name, severity) for name in _TYPES for severity in SEVERITIES]
    chosen = [conditions[index] for index in rng.choice(len(conditions), count, replace=False)]
    made = [
        encode_versions(image, name, [severity], version_seed(0, item.image_id, name))[0] for name, severity in chosen
    ]
    return [data, *made]


def _logits(workers: list[Worker], items: list[SourceItem], count: int) -> list[NDArray[np.float64]]:
    """Run all workers on all versions: (N, C) each."""

    def run(item: SourceItem) -> list[NDArray[np.float64]]:
        images = [decode_version(data) for data in _versions(item, count)]
        return [worker.logits(images).astype(np.float32) for worker in workers]

    rows = list(progress(parallel_map(run, items), "classify", total=len(items), unit="image"))
    return [np.concatenate(logits).astype(np.float64) for logits in zip(*rows, strict=True)]


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--match", default="*", help="use only the images whose path matches this pattern")
    parser.add_argument("--images", type=int, default=500, help="use at most this many, half of them to calibrate")
    parser.add_argument("--versions", type=int, default=12, help="distorted versions per image")
    parser.add_argument("--output", type=Path, default=Path("build/agreement.json"))
    arguments = parser.parse_args()

    catalogue = read_catalogue(arguments.catalogue)
    workers = [open_worker(spec, find_weights(name, spec)) for name, spec in catalogue.items()]
    listed = list_items(ManifestSource(kind="manifest", manifest=str(arguments.manifest), root=str(arguments.root)))
    items = [item for item in listed if fnmatchcase(item.image_id, arguments.match)][: arguments.images]
    calibration, test = items[::2], items[1::2]
    clean = np.array([item.label for item in calibration], np.int64)
    temperatures = [fit_temperature(logits, clean) for logits in _logits(workers, calibration, 0)]
    labels = np.repeat([item.label for item in test], 1 + arguments.versions)
    judged = zip(catalogue, _logits(workers, test, arguments.versions), temperatures, strict=True)
    tcp = {name: judge(logits, labels, temperature).tcp for name, logits, temperature in judged}
    agreement = worker_agreement(tcp, {name: spec.family for name, spec in catalogue.items()})

    print(f"{len(labels)} versions of {len(test)} images\n")
    print("| worker | " + " | ".join(str(index + 1) for index in range(len(workers))) + " | ceiling |")
    print("| --- |" + " ---: |" * (len(workers) + 1))
    for index, name in enumerate(agreement.workers):
        cells = [" " if place == index else f"{value:.2f}" for place, value in enumerate(agreement.spearman[index])]
        print(f"| {index + 1} {name} | " + " | ".join(cells) + f" | {agreement.ceilings[index]:.3f} |")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    result = {"workers": agreement.workers, "spearman": agreement.spearman.tolist(), "ceilings": agreement.ceilings}
    arguments.output.write_text(json.dumps({"versions": len(labels), **result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
