"""Blocks of Python on our pages run, and do what the pages say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from metrifier_core import Metrifier
from metrifier_core.distortions import apply_distortion, registry
from metrifier_core.images import encode_png
from tests.helpers.colour_workers import draw_colours, make_entry, plain_image, write_colour_classifier
from tests.helpers.documents import PAGES, read_blocks
from tests.helpers.example_images import natural_image
from tests.helpers.tiny_models import write_brightness_metrifier

BACKGROUND = 990  # of the classes of ImageNet; the last ten are colours
GREYS = {"a.jpg": 200, "b.jpg": 50, "c.jpg": 120}

# Tested where what they need is at hand.
ELSEWHERE = {
    "docs/evaluation.md",  # tests/core/statistics/test_metrics.py
    "docs/scoring.md",  # tests/core/scoring/: it loads models of every runtime and a registered one
    "docs/serving.md",  # tests/core/scoring/test_mlflow_model.py
    "docs/tutorial.md",  # tests/end_to_end/test_tutorial.py
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with all that pages name: a model of brightness, photographs and a worker."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    write_brightness_metrifier(tmp_path / "runs" / "digits" / "model")
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, level in GREYS.items():
        image = encode_png(np.full((64, 96, 3), level, np.uint8))
        (photos / name).write_bytes(image)
        (tmp_path / name).write_bytes(image)
    (photos / "broken.jpg").write_text("no image")
    for name in ("photo.jpg", "b.png"):
        (tmp_path / name).write_bytes(encode_png(np.full((64, 96, 3), 200, np.uint8)))
    classifier = write_colour_classifier(tmp_path / "colour.onnx", background=BACKGROUND)
    (tmp_path / "workers.yaml").write_text(yaml.safe_dump({"my_classifier": make_entry(classifier)}))
    return tmp_path


def check_scores(names: dict[str, Any]) -> None:
    assert names["quality"] == pytest.approx(200 / 255)
    assert "not an image" in names["score"].error


def check_files(names: dict[str, Any]) -> None:
    assert [path.name for path in names["kept"]] == ["a.jpg", "c.jpg"]
    assert [path.name for path in names["bad"]] == ["broken.jpg"]


def check_samples(names: dict[str, Any]) -> None:
    assert [sample["cls"] for sample in names["kept"]] == [0, 2]


def check_batches(names: dict[str, Any]) -> None:
    for _ in range(2):  # epochs
        kept = sorted(int(label) for _, labels in names["batches"] for label in labels)
        assert kept == [label for label in range(20) if 12 * label >= 0.4 * 255]


def check_maps(names: dict[str, Any]) -> None:
    explanation = names["explanation"]
    assert explanation.parts.shape == explanation.occlusion.shape == (4, 6)
    np.testing.assert_allclose(explanation.parts, explanation.quality, atol=1e-6)


def check_readme(names: dict[str, Any]) -> None:
    assert names["score"].quality == pytest.approx(200 / 255)
    assert names["good"] == ["a.jpg", "b.png"]


def check_items(names: dict[str, Any]) -> None:
    assert len(names["items"]) == 100
    assert names["list_sources"]()[:3] == ["archive", "digits", "folder"]


def check_distortions(names: dict[str, Any]) -> None:
    assert names["worse"].shape == names["image"].shape
    assert len(names["five"]) == 5
    assert names["list_distortions"]("blur") == ["defocus_blur", "gaussian_blur", "motion_blur", "zoom_blur"]


def check_own_distortion(names: dict[str, Any]) -> None:
    whitened = apply_distortion(names["image"], "page:snow", 5, np.random.default_rng(0))
    assert 0.4 < (whitened == 255).all(axis=2).mean() < 0.6


def check_loaded(names: dict[str, Any]) -> None:
    assert isinstance(names["metrifier"], Metrifier)


def check_losses(names: dict[str, Any]) -> None:
    assert names["losses"].correct.all()


# What each block leaves behind, in their order.
CHECKS: dict[str, list[Callable[[dict[str, Any]], None]]] = {
    "README.md": [check_readme],
    "docs/distortions.md": [check_distortions, check_own_distortion],
    "docs/python.md": [
        check_loaded,
        check_scores,
        check_files,
        check_samples,
        check_batches,  # of tf.data
        check_batches,  # of PyTorch, by indices
        check_batches,  # of PyTorch, a stream
        check_maps,
    ],
    "docs/sources.md": [check_items],
    "docs/workers.md": [check_losses],
}
BLOCKS = {page: read_blocks(page, "python") for page in PAGES if page not in ELSEWHERE}


def names_before() -> dict[str, Any]:
    """Return what pages take as given: an image, and images with their labels."""
    colours, labels = draw_colours(10)
    images = [plain_image(colour) for colour in colours]
    return {"__name__": "page", "image": natural_image(3), "images": images, "labels": (labels + BACKGROUND).tolist()}


def test_every_block_has_a_check() -> None:
    assert {page: len(blocks) for page, blocks in BLOCKS.items() if blocks} == {
        page: len(checks) for page, checks in CHECKS.items()
    }


@pytest.mark.parametrize(("page", "place"), [(page, place) for page in CHECKS for place in range(len(CHECKS[page]))])
def test_a_block_does_what_its_page_says(page: str, place: int) -> None:
    """Run a block after the first one of its page."""
    first, block = BLOCKS[page][0], BLOCKS[page][place]
    if "import torch" in block.parsed or "from torch" in block.parsed:
        pytest.importorskip("torch", reason="torch is not installed: make test-torch")
    names = block.namespace
    names.clear()
    names.update(names_before())
    first.evaluate()
    if block is not first:
        block.evaluate()
    CHECKS[page][place](names)
