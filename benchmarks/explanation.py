"""How well each map of `Metrifier.explain` finds the distorted half of a photograph.

    python benchmarks/explanation.py --model runs/NAME/model --images FOLDER

The left or the right half of each photograph is distorted. A map is right about two parts, one of each half, if the
distorted one is lower; AUROC is the share of such pairs (.5 is chance), averaged over the photographs.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from metrifier_core import ImageError, Metrifier
from metrifier_core.distortions import apply_distortion, get_distortion, list_distortions
from metrifier_core.execution.progress import progress
from metrifier_core.images import RgbImage, read_image
from metrifier_core.sources import list_files

SEVERITY = 4
MIN_SIDE = 96  # pixels: a half has to hold several parts
MAPS = ("parts", "occlusion")


def _photos(folder: Path, count: int, rng: np.random.Generator) -> list[RgbImage]:
    """Read some of the images below a folder that are large enough."""
    files = list_files(folder)
    photos: list[RgbImage] = []
    for index in rng.permutation(len(files)):
        try:
            image = read_image(files[index])
        except ImageError:
            continue
        if min(image.shape[:2]) >= MIN_SIDE:
            photos.append(image)
        if len(photos) == count:
            break
    return photos


def _distort_half(image: RgbImage, distortion: str, left: bool, rng: np.random.Generator) -> RgbImage:
    half = slice(image.shape[1] // 2) if left else slice(image.shape[1] // 2, None)
    mixed = image.copy()
    mixed[:, half] = apply_distortion(image, distortion, SEVERITY, rng)[:, half]
    return mixed


def _auroc(values: NDArray[np.float32], left: bool) -> float:
    """Compare the columns of the distorted half with those of the other, without a column in the middle."""
    columns = values.shape[1] // 2
    halves = values[:, :columns].ravel(), values[:, values.shape[1] - columns :].ravel()
    distorted, pristine = halves if left else halves[::-1]
    truth = [0] * len(distorted) + [1] * len(pristine)
    return float(roc_auc_score(truth, np.concatenate([distorted, pristine])))


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="runs/digits/model")
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--sources", type=int, default=40)
    parser.add_argument("--runtime", help="the default one if not given")
    parser.add_argument("--output", type=Path, default=Path("build/explanation.json"))
    arguments = parser.parse_args()

    metrifier = Metrifier.load(arguments.model, arguments.runtime)
    rng = np.random.default_rng(0)
    photos = _photos(arguments.images, arguments.sources, rng)
    names = [name for name in list_distortions() if not get_distortion(name).test_only]
    areas: dict[str, dict[str, list[float]]] = {name: {kind: [] for kind in MAPS} for name in names}
    for photo in progress(photos, "explain", unit="photograph"):
        for name in names:
            left = bool(rng.random() < 0.5)  # noqa: PLR2004
            explanation = metrifier.explain(_distort_half(photo, name, left, rng))
            for kind in MAPS:
                areas[name][kind].append(_auroc(getattr(explanation, kind), left))
    rows: list[dict[str, Any]] = [
        {"distortion": name, **{kind: float(np.mean(values)) for kind, values in maps.items()}}
        for name, maps in areas.items()
    ]
    rows.append({"distortion": "mean", **{kind: float(np.mean([row[kind] for row in rows])) for kind in MAPS}})
    for row in rows:
        print(f"{row['distortion']:18}" + "".join(f"{kind} {row[kind]:.2f}   " for kind in MAPS))
    print(f"AUROC on {len(photos)} photographs, severity {SEVERITY}, {metrifier.card.architecture}")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps({"photographs": len(photos), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
