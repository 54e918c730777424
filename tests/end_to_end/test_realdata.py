"""A small run on real ImageNet images and real pretrained workers."""

import json
from pathlib import Path

import pytest

from tests.end_to_end.runs import CHECKOUT, run

REALDATA = CHECKOUT.parent / "shared" / "realdata"
CONFIG = CHECKOUT / "tests" / "realdata" / "config.yaml"

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.end_to_end,
    pytest.mark.skipif(not REALDATA.is_dir(), reason="there is no ../shared/realdata beside the checkout"),
]

SMALL = (
    "source.max_sources=160",
    "shards=2",
    "distortions.versions_per_source=3",
    "metrifier.epochs=1",
    "evaluation.bootstrap_replicates=50",
)


def test_real_workers_judge_real_images(tmp_path):
    finished = run(tmp_path, *SMALL, config=CONFIG)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    folder = Path(tmp_path) / "realdata"
    for card in [json.loads(path.read_text()) for path in folder.glob("workers/*.json")]:
        assert card["classes"] == 1000
    dataset = json.loads((folder / "dataset.json").read_text())
    assert dataset["read"] == dataset["accepted"] + dataset["rejected"] == 160
    # Real classifiers do well on real images, and badly on the worst of them.
    assert dataset["mean_quality"]["pristine 0"] > 0.5
    assert dataset["mean_quality"]["contrast 5"] < dataset["mean_quality"]["contrast 1"]
    assert json.loads((folder / "metrics.json").read_text())["workers"].keys() == {"squeezenet_fp16", "mean"}
