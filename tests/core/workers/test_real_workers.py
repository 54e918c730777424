"""The workers beside the checkout, on photographs."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from metrifier_core.images import read_image
from metrifier_core.settings.yaml import read_yaml
from metrifier_core.sources import ManifestSource, list_items
from metrifier_core.workers import create_worker, read_catalogue

REPOSITORY = Path(__file__).parents[3]
REAL_DATA = REPOSITORY.parent / "shared" / "realdata"
CATALOGUE = REPOSITORY / "tests" / "realdata" / "workers.yaml"


@pytest.mark.realdata
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"there is no {REAL_DATA}")
@pytest.mark.parametrize("name", sorted(read_yaml(CATALOGUE)))
def test_real_workers_are_as_right_as_when_they_were_measured(name: str) -> None:
    """Wrong preprocessing or class order costs more accuracy than sampling 100 of 1000 images can."""
    measured = {entry["name"]: entry["top1_measured"] for entry in json.loads((REAL_DATA / "workers.json").read_text())}
    expected = measured[name]["sample1000"]

    source = ManifestSource(kind="manifest", manifest=str(REAL_DATA / "manifest.csv"), root=str(REAL_DATA / "images"))
    items = [item for item in list_items(source) if item.image_id.startswith("sample1000/")]
    sample = items[:100]
    worker = create_worker(name, read_catalogue(CATALOGUE))
    outputs = worker.outputs([read_image(REAL_DATA / "images" / item.image_id) for item in sample])
    worker.check(outputs)
    logits = worker.to_logits(outputs)
    right = np.mean(logits.argmax(axis=1) == [item.label for item in sample])
    deviation = math.sqrt(expected * (1 - expected) / len(sample) * (1 - len(sample) / len(items)))
    assert logits.shape == (100, 1000)
    assert np.isfinite(logits).all()
    assert right == pytest.approx(expected, abs=3 * deviation)
