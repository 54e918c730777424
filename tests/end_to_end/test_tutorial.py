"""docs/tutorial.md: its commands, files and Python, in their order, on small images and classifiers of colours."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrifier_core.execution.checksums import file_sha256
from tests.helpers.colour_runs import vary_colours, write_photos
from tests.helpers.colour_workers import CLASSES, SIZE, write_colour_classifier
from tests.helpers.documents import read_blocks
from tests.helpers.runs import CHECKOUT, environment

pytestmark = pytest.mark.end_to_end

PAGE = "docs/tutorial.md"
PHOTOS, ARRIVING, DARK = 120, 60, 15

# What makes the run a short one; all else in the page's files stands as it is there.
SMALLER = {
    "shards: 4": "shards: 1",
    "{versions_per_source: 12}": "{types: [low_light, jpeg], held_out: [posterize], severities: [1, 3, 5]}",
    "{architecture: nano, epochs: 12}": "{epochs: 5, crop: 32, batch_size: 32}\nevaluation: {bootstrap_replicates: 50}",
}


def write_workers(folder: Path, catalogue: str) -> None:
    """Three classifiers as the page's catalogue describes them but for their size, and that catalogue."""
    rng = np.random.default_rng(0)
    shown: dict[str, dict[str, Any]] = {
        "mine": {"layout": "NCHW", "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
        "second": {"scale": 1 / 127.5, "mean": (1, 1, 1)},
        "third": {"scale": 1, "probabilities": True},
    }
    catalogue = catalogue.replace("input_size: 224", f"input_size: {SIZE}")
    for name, interface in shown.items():
        weights = write_colour_classifier(folder / f"{name}.onnx", colours=vary_colours(rng), **interface)
        catalogue = catalogue.replace("SHA256", file_sha256(weights), 1)
    (folder / "workers.yaml").write_text(catalogue)


def write_config(folder: Path, config: str) -> None:
    for long, short in SMALLER.items():
        assert long in config
        config = config.replace(long, short)
    (folder / "run.yaml").write_text(config)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide what stands for a checkout with a folder `mine`."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("pipelines", "components", "metrifier_core"):
        (folder / name).symlink_to(CHECKOUT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    mine = folder / "mine"
    write_photos(mine / "photos", PHOTOS, dark=0, seed=0)
    write_photos(mine / "camera", ARRIVING, DARK, seed=1)
    (mine / "classes.txt").write_text("".join(f"colour {label}\n" for label in range(CLASSES)))
    catalogue, config = (block.parsed for block in read_blocks(PAGE, "yaml"))
    write_workers(mine, catalogue)
    write_config(mine, config)
    return folder


def test_the_page_leads_from_a_folder_of_images_to_a_gate(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "set -euo pipefail\n" + "\n".join(block.parsed for block in read_blocks(PAGE, "sh"))
    finished = subprocess.run(
        ["bash", "-c", script],
        cwd=checkout,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr

    mine = checkout / "mine"
    assert (checkout / "runs" / "mine" / "report.html").is_file()
    gate = json.loads((mine / "gate.json").read_text())
    assert gate["images"] == ARRIVING
    assert gate["accuracy"]["here"] >= 0.9 > gate["accuracy_of_all"]
    with (mine / "decisions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    accepted = [checkout / row["path"] for row in rows if row["decision"] == "accept"]
    rejected = [checkout / row["path"] for row in rows if row["decision"] == "reject"]
    assert (len(accepted), len(rejected)) == (gate["kept_images"], ARRIVING - gate["kept_images"])
    assert all(int(path.stem) < DARK for path in rejected), "what was taken in the light is good enough"
    assert (mine / "gallery.html").is_file()

    monkeypatch.chdir(checkout)
    [block] = read_blocks(PAGE, "python")
    block.evaluate()
    assert [path.resolve() for path in block.namespace["good"]] == sorted(path.resolve() for path in accepted)
