"""A small run on real ImageNet images and real pretrained workers, and the gate that its metrifier makes."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from metrifier_core import Metrifier
from metrifier_core.cli import app
from metrifier_core.distortions import apply_distortion
from metrifier_core.evaluation.judged_images import judge_images
from metrifier_core.images import encode_png, read_image
from metrifier_core.sources import ManifestSource, list_items
from metrifier_core.workers import create_worker, read_catalogue
from tests.helpers.colour_workers import write_rows
from tests.helpers.runs import CHECKOUT, run

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


JUDGE = "squeezenet_fp16"  # the worker that is held out of the labels
GATED = 480


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Provide the run's folder."""
    runs = tmp_path_factory.mktemp("realdata")
    finished = run(runs, *SMALL, config=CONFIG)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return runs / "realdata"


def test_real_workers_judge_real_images(trained):
    for card in [json.loads(path.read_text()) for path in trained.glob("workers/*.json")]:
        assert card["classes"] == 1000
    dataset = json.loads((trained / "dataset.json").read_text())
    assert dataset["read"] == dataset["accepted"] + dataset["rejected"] == 160
    # Real classifiers do well on real images, and badly on the worst of them.
    assert dataset["mean_quality"]["pristine 0"] > 0.5
    assert dataset["mean_quality"]["contrast 5"] < dataset["mean_quality"]["contrast 1"]
    assert json.loads((trained / "metrics.json").read_text())["workers"].keys() == {JUDGE, "mean"}


def write_arriving(folder, calibration):
    """Write validation images as a camera might send them, a version of each: every third pristine.

    Those that calibrated the workers' temperatures are left out; no other stage but the evaluation has seen the rest.

    Args:
        folder: For `images/`, and two CSV files of disjoint halves, `chosen.csv` and `others.csv`.
        calibration: The paths that are left out.
    """
    source = ManifestSource(kind="manifest", manifest=str(REALDATA / "manifest.csv"), root=str(REALDATA / "images"))
    listed = (item for item in list_items(source) if item.image_id.startswith("val650/"))
    items = [item for item in listed if item.image_id not in calibration][:GATED]
    rng = np.random.default_rng(0)
    types = ("gaussian_noise", "gaussian_blur", "jpeg", "contrast", "pixelate")
    rows = []
    (folder / "images").mkdir()
    for index, item in enumerate(items):
        image = read_image(REALDATA / "images" / item.image_id)
        # A half takes every second image: both have all types and severities.
        place = index // 2
        if place % 3:
            image = apply_distortion(image, types[place % len(types)], 1 + place // 15 % 5, rng)
        (folder / "images" / f"{index:03d}.png").write_bytes(encode_png(image))
        rows.append((f"{index:03d}.png", item.label))
    return write_rows(folder / "chosen.csv", rows[::2]), write_rows(folder / "others.csv", rows[1::2])


def invoke(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def check_gate(model, catalogue, worker, halves, ways):
    """Chooses a threshold on one half of some images in each way, and looks how the other half fares.

    Args:
        model: A metrifier.
        catalogue: A catalogue of workers.
        worker: The entry to guard.
        halves: Two manifests of other images each, beside the folder `images`.
        ways: The options that say what threshold is asked for.
    """
    chosen, others = halves
    arguments = ["--model", model, "--workers", catalogue, "--worker", worker, "--output", "-"]
    # All of them, with their scores and whether the worker is right: a threshold keeps some.
    scorer, judge = Metrifier.load(model), create_worker(worker, read_catalogue(catalogue))
    source = ManifestSource(kind="manifest", manifest=str(others), root=str(others.parent / "images"))
    judged = list(judge_images(scorer, judge, list_items(source)))
    for way in ways:
        found = json.loads(invoke("threshold", "--images", chosen, *arguments, *way))
        kept = [image for image in judged if image.quality >= found["threshold"]]
        accuracy = sum(image.right for image in kept) / len(kept)
        assert found["accuracy"]["low"] <= accuracy <= found["accuracy"]["high"], way
        assert found["accuracy"]["high"] - found["accuracy"]["low"] < 0.35, "it says something"


def test_a_gate_before_a_held_out_worker_holds_on_other_real_images(trained, tmp_path):
    """Images that neither has been trained on, in one version each; the target is one that the half reaches."""
    calibration = {
        row["image_id"]
        for path in trained.glob("images/images-*.parquet")
        for row in pq.read_table(path, columns=["image_id", "split"]).to_pylist()
        if row["split"] == "calibration"
    }
    halves = write_arriving(tmp_path, calibration)
    catalogue = CONFIG.with_name("workers.yaml")
    half = ("--keep", 0.5)
    arguments = ["--model", trained / "model", "--workers", catalogue, "--worker", JUDGE, "--output", "-"]
    reached = json.loads(invoke("threshold", "--images", halves[0], *arguments, *half))["accuracy"]["here"]
    ways = [half, ("--target-accuracy", round(reached - 0.005, 2))]
    check_gate(trained / "model", catalogue, JUDGE, halves, ways)
