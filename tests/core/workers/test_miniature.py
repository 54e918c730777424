"""Miniatures: small, of five families, and reproducible."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from metrifier_core.workers import KNOWN_WORKERS, MiniatureSpec, open_worker
from tests.helpers.echo_workers import make_image

MINIATURES = {name: spec for name, spec in KNOWN_WORKERS.items() if isinstance(spec, MiniatureSpec)}


def test_the_five_miniatures_are_five_families() -> None:
    assert len({spec.family for spec in MINIATURES.values()}) == len(MINIATURES) == 5


@pytest.mark.parametrize("name", sorted(MINIATURES))
def test_every_miniature_is_small_and_tells_classes_apart(name: str) -> None:
    from metrifier_core.workers.miniature import build_miniature

    network = build_miniature(MINIATURES[name].architecture, 7)
    assert 10_000 < network.count_params() < 100_000
    logits = network(np.stack([make_image(32, 32, seed) for seed in range(3)])).numpy()
    assert logits.shape == (3, 7)
    assert np.isfinite(logits).all()
    assert np.ptp(logits, axis=0).min() > 0, "every class depends on the image"


TRAIN = """
import sys
from pathlib import Path
import numpy as np
from metrifier_core.images import decode_image
from metrifier_core.sources import DigitsSource, list_items
from metrifier_core.workers import KNOWN_WORKERS
from metrifier_core.workers.miniature import train_miniature

items = list_items(DigitsSource(kind="digits", max_sources=100))
spec = KNOWN_WORKERS["miniature_plain"].model_copy(update={"epochs": 2})
labels = np.array([item.label for item in items])
train_miniature(spec, [decode_image(item.read()) for item in items], labels, 10, 3, Path(sys.argv[1]))
"""


def test_training_twice_gives_the_same_worker(tmp_path: Path) -> None:
    paths = [tmp_path / f"{attempt}.onnx" for attempt in range(2)]
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", TRAIN, str(path)], env={**os.environ, "PYTHONHASHSEED": "0"}, stderr=subprocess.PIPE
        )
        for path in paths
    ]
    for process in runs:
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
    assert paths[0].read_bytes() == paths[1].read_bytes()

    worker = open_worker(MINIATURES["miniature_plain"], paths[0])
    images = [make_image(side, 50, side) for side in (8, 32, 45)]
    logits = worker.logits(images)
    assert logits.shape == (3, 10)
    np.testing.assert_array_equal(logits[1:2], worker.logits(images[1:2]))
